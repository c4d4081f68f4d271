import Glibc
package import Plugin
import Posix
import Synchronization

/// Secrets as files `<folder>/<name>/<key>`, then as environment variables
/// `SIGNALBOX_SECRET_<NAME>_<KEY>`. One newline at the end is cut. A changed file is seen within a
/// second.
package final class FolderSecrets: SecretStore {
  private struct Cached {
    let secret: Secret?
    let until: MonotonicTime
  }

  private let folder: String
  private let cache = Mutex<[[String]: Cached]>([:])

  package init(folder: String) { self.folder = folder }

  package func secret(name: String, key: String) throws(SecretError) -> Secret {
    guard let secret = try find(name, key) else {
      throw SecretError("no secret '\(name)/\(key)': \(places(name, key))")
    }
    return secret
  }

  package func liveSecrets(name: String, key: String) throws(SecretError) -> [Secret] {
    var secrets = [try secret(name: name, key: key)]
    if let previous = try find(name, key + ".previous") { secrets.append(previous) }
    return secrets
  }

  /// Where it looks, in words.
  func places(_ name: String, _ key: String) -> String {
    "looked at \(folder)/\(name)/\(key) and at the variable \(variable(name, key))"
  }

  func find(_ name: String, _ key: String) throws(SecretError) -> Secret? {
    guard isName(name), isName(key) else {
      throw SecretError("'\(name)/\(key)' is no name of a secret")
    }
    let now = MonotonicTime.now()
    if let cached = cache.withLock({ $0[[name, key]] }), now < cached.until {
      return cached.secret
    }
    let secret = try read(name, key)
    cache.withLock { $0[[name, key]] = Cached(secret: secret, until: now + .seconds(1)) }
    return secret
  }

  private func read(_ name: String, _ key: String) throws(SecretError) -> Secret? {
    let path = "\(folder)/\(name)/\(key)"
    do throws(SystemError) {
      var bytes = try Files.read(path, limit: 1 << 20)
      if bytes.last == 0x0a { bytes.removeLast() }
      guard !bytes.isEmpty else { throw SystemError("read", path, code: ENODATA) }
      return Secret(bytes)
    } catch {
      guard error.code == ENOENT || error.code == ENOTDIR else { throw SecretError("\(error)") }
    }
    guard let value = unsafe getenv(variable(name, key)) else { return nil }
    let bytes = unsafe Array(String(cString: value).utf8)
    return bytes.isEmpty ? nil : Secret(bytes)
  }

  private func variable(_ name: String, _ key: String) -> String {
    let text = "\(name)_\(key)".uppercased().map { $0.isLetter || $0.isNumber ? $0 : "_" }
    return "SIGNALBOX_SECRET_" + String(text)
  }
}

/// The rules of Kubernetes: letters, digits, dash, dot and underscore, and no way out of the
/// folder.
private func isName(_ text: String) -> Bool {
  !text.isEmpty && text.utf8.count <= 253 && text != "." && text != ".."
    && text.utf8.allSatisfy {
      (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0)
        || [0x2d, 0x2e, 0x5f].contains($0)
    }
}
