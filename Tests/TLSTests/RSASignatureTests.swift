import TLS
import TestKit
import Testing

@Suite struct RSASignatureTests {
  /// Of `signalbox`, made by `openssl dgst -sha256 -sign`.
  private let expected = [
    "55df4dc037b562ad7cad341ff319e1af6490a96ac344afe4e681fd880e3af7c6c7090ca7c117eb5a",
    "436487e6115b4560b5853f153f331f289b23b0165caec907699747f695f59c44a3c7169a2dcd694b",
    "d313c3ea0a239cbe57df290a22915e26753f219276fb7fef596886d1dea208cf8b38a217c4d8fa79",
    "87175a26c295c5153772802812b2fdc5117ea1f7477ded72f9cbf9b079cb1a1fa9acab961e0453b4",
    "6e8da9089526b9563703d798ee50a7fe72833707d38c92f6167cd7faf6495a9e5c8dde02ceccb67f",
    "59a47b6c50bd27364d49ab142915ef24f6ad7887f734abe045d8a02ae3de0ea883723b0c99f6aca2",
    "7e643425aa81e5c7d44b8b8d90f4a137",
  ].joined()

  @Test("a signature is the one that OpenSSL's own program makes")
  func signature() {
    let pem = Array(TestCertificates.rsaKey.utf8)
    let made = RSASignature.sign(Array("signalbox".utf8), privateKeyPEM: pem)
    #expect(made.map { hexadecimal($0) } == expected)
  }

  @Test("what is no private key of RSA signs nothing")
  func refused() {
    for pem in [
      "", "no key", TestCertificates.oneKey, TestCertificates.one,
      String(TestCertificates.rsaKey.dropLast(200)),
    ] {
      #expect(RSASignature.sign([1], privateKeyPEM: Array(pem.utf8)) == nil)
    }
  }
}
