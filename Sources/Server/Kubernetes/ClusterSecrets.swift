import Cluster
import JSON
import Plugin
import Synchronization

/// The Secret objects that manifests name, each read by its name: nobody needs the right to list
/// them.
///
/// Looking one up never waits. One that was not read yet is noted and an error; whoever builds a plan
/// then has the noted ones read and builds again.
final class ClusterSecrets: Sendable {
  struct Place: Hashable, Sendable {
    let namespace: String
    let name: String
  }

  private enum Found: Sendable {
    case present([String: [UInt8]])
    case absent
    case failed(String)

    /// What makes the difference for manifests: whether their keys are there.
    var keys: Set<String>? {
      if case .present(let data) = self { return Set(data.keys) }
      return nil
    }
  }

  private struct State {
    var found: [Place: Found] = [:]
    var wanted: Set<Place> = []
    /// Asked for since `forgetUnused`.
    var used: Set<Place> = []
  }

  private let access: ClusterAccess
  private let contact: Contact
  private let state = Mutex(State())

  /// How many Secrets manifests may name.
  private static let limit = 10_000

  init(_ access: ClusterAccess, _ contact: Contact) {
    self.access = access
    self.contact = contact
  }

  /// The value of a key; nil where the Secret or the key does not exist.
  /// - Throws: `SecretError` where that is not known.
  func value(_ place: Place, _ key: String) throws(SecretError) -> [UInt8]? {
    let found = state.withLock { state -> Found? in
      state.used.insert(place)
      if let found = state.found[place] { return found }
      if state.wanted.count < Self.limit { state.wanted.insert(place) }
      return nil
    }
    switch found {
    case .present(let data): return data[key]
    case .absent: return nil
    case .failed(let why):
      throw SecretError("the Secret \(place.namespace)/\(place.name) could not be read: \(why)")
    case nil:
      throw SecretError("the Secret \(place.namespace)/\(place.name) was not read yet")
    }
  }

  /// Reads what was asked for in vain; whether there was something.
  func readWanted() async -> Bool {
    let wanted = state.withLock { state in
      defer { state.wanted = [] }
      return state.wanted
    }
    for place in wanted { _ = await read(place) }
    return !wanted.isEmpty
  }

  /// Reads all anew; whether manifests may load differently now.
  func refresh() async -> Bool {
    let places = state.withLock { Array($0.found.keys) }
    var hasChanged = false
    for place in places where !Task.isCancelled {
      if await read(place) { hasChanged = true }
    }
    return hasChanged
  }

  var count: Int { state.withLock { $0.found.count } }

  /// Forgets what was not asked for since the last time: the manifests name it no longer.
  func forgetUnused() {
    state.withLock { state in
      state.found = state.found.filter { state.used.contains($0.key) }
      state.used = []
    }
  }

  /// Whether keys came or went.
  private func read(_ place: Place) async -> Bool {
    let found: Found
    do throws(ClusterError) {
      let client = try access.connection().client
      let type = try await client.resource("v1", kind: "Secret")
      let object = try await client.get(type, namespace: place.namespace, name: place.name)
      found = .present(Self.data(of: object))
      contact.restore("secrets")
    } catch {
      if error.isNotFound {
        contact.restore("secrets")
        found = .absent
      } else {
        // What was read stays good while nobody says otherwise; a refusal does.
        if error.isTransient { contact.fail("secrets", error) }
        let isKnown = state.withLock { $0.found[place]?.keys != nil }
        if isKnown && error.isTransient { return false }
        found = .failed("\(error)")
      }
    }
    return state.withLock { state in
      let old = state.found.updateValue(found, forKey: place)
      return old?.keys != found.keys
    }
  }

  private static func data(of object: JSON) -> [String: [UInt8]] {
    var data: [String: [UInt8]] = [:]
    for member in object["data"]?.members ?? [] {
      guard let text = member.value.asString, var bytes = Base64.decode(Array(text.utf8)[...])
      else { continue }
      // As in the folder of secrets: editors end files with a newline.
      if bytes.last == 0x0a { bytes.removeLast() }
      if !bytes.isEmpty { data[member.key] = bytes }
    }
    return data
  }
}

/// The secrets that manifests of one namespace may name: what the operator gave to the program, then
/// the Secrets of that namespace.
struct NamespaceSecrets: SecretStore {
  let folder: FolderSecrets
  let cluster: ClusterSecrets
  let namespace: String

  func secret(name: String, key: String) throws(SecretError) -> Secret {
    guard let secret = try find(name, key) else {
      throw SecretError(
        "no secret '\(name)/\(key)': \(folder.places(name, key)), and at the Secret "
          + "\(namespace)/\(name) of the cluster"
      )
    }
    return secret
  }

  func liveSecrets(name: String, key: String) throws(SecretError) -> [Secret] {
    var secrets = [try secret(name: name, key: key)]
    if let previous = try find(name, key + ".previous") { secrets.append(previous) }
    return secrets
  }

  private func find(_ name: String, _ key: String) throws(SecretError) -> Secret? {
    if let secret = try folder.find(name, key) { return secret }
    return try cluster.value(.init(namespace: namespace, name: name), key).map { Secret($0) }
  }
}
