import COpenSSL

/// Digests that are not trusted for anything here but that people's expressions compute.
package enum Digest {
  /// SHA-1 (FIPS 180-4), 20 bytes.
  package static func sha1(_ bytes: [UInt8]) -> [UInt8] {
    unsafe compute(bytes, EVP_sha1(), count: 20)
  }

  /// SHA-512 (FIPS 180-4), 64 bytes.
  package static func sha512(_ bytes: [UInt8]) -> [UInt8] {
    unsafe compute(bytes, EVP_sha512(), count: 64)
  }

  private static func compute(_ bytes: [UInt8], _ kind: OpaquePointer?, count: Int) -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: count)
    let code = unsafe EVP_Digest(bytes, bytes.count, &digest, nil, kind, nil)
    precondition(code == 1, "OpenSSL computes a digest")
    return digest
  }
}
