import Cluster
import HTTPClient
import JSON
import Manifest
import Plugin
import Posix

/// Where the object of a `k8s` or `argoWorkflow` trigger comes from (spec section 4.3).
enum ObjectSource: Sendable {
  case inline(JSON)
  case file(String)
  case url(String)
  case configMap(name: String, key: String)

  private static let limit = 1 << 20

  /// Reads `source` of a trigger's block.
  init?(from block: Block) {
    guard let source = block.block("source") else {
      block.error("source", "found nothing, expected where the object comes from")
      return nil
    }
    source.notSupportedYet("git", "s3")
    defer { source.finish() }
    if let text = source.string("inline") {
      guard let object = jsonFromYAML(Array(text.utf8)), case .object = object else {
        source.error("inline", "expected an object as YAML or JSON")
        return nil
      }
      self = .inline(object)
    } else if let node = source.node("resource") {
      guard case .object = node.json else {
        source.error("resource", "found \(node.kindName), expected an object")
        return nil
      }
      self = .inline(node.json)
    } else if let file = source.block("file") {
      self = .file(file.requiredString("path"))
      file.finish()
    } else if let url = source.block("url") {
      self = .url(url.requiredString("path"))
      // Written both ways in published examples.
      for key in ["verifyCert", "verifycert"] where url.bool(key) == false {
        url.warning(key, "has no effect: certificates are always verified")
      }
      url.finish()
    } else if let map = source.block("configmap") {
      self = .configMap(name: map.requiredString("name"), key: map.requiredString("key"))
      map.accept("optional")
      if map.contains("namespace") {
        map.warning("namespace", "has no effect: the ConfigMap is that of the sensor's namespace")
      }
      map.finish()
    } else {
      if !source.contains("git") && !source.contains("s3") {
        source.error(nil, "expected one of configmap, file, inline, resource, url")
      }
      return nil
    }
  }

  /// Says at load that the object is in a namespace that is out of reach.
  func checkReach(_ host: any TriggerHost, _ block: Block) {
    guard case .inline(let object) = self else { return }
    let namespace = object.at("metadata", "namespace")?.asString
    Triggers.checkReach(namespace, "source", host, block)
  }

  /// The object itself.
  /// - Throws: `ClusterError`.
  func object(
    _ host: any TriggerHost,
    _ client: ClusterClient,
    namespace: String
  ) async throws(ClusterError) -> JSON {
    switch self {
    case .inline(let object): return object
    case .file(let path):
      let bytes: [UInt8]
      do throws(SystemError) { bytes = try Files.read(path, limit: Self.limit) } catch {
        throw ClusterError(.configuration, "\(error)")
      }
      return try Self.parsed(bytes, path)
    case .url(let url):
      let response: OutboundResponse
      do throws(OutboundError) {
        response = try await host.send(
          OutboundRequest(.get, url, rule: .trusted, bodyLimit: 512 << 10)
        )
      } catch { throw ClusterError(.transport(error.kind), error.description) }
      guard response.status == 200, !response.isTruncated else {
        throw ClusterError(
          .transport(.transport),
          "\(url) was answered with status \(response.status)"
        )
      }
      return try Self.parsed(response.body, url)
    case .configMap(let name, let key):
      let type = try await client.resource("v1", kind: "ConfigMap")
      let map = try await client.get(type, namespace: namespace, name: name)
      guard let text = map.at("data", key)?.asString else {
        throw ClusterError(.configuration, "the ConfigMap \(namespace)/\(name) has no key '\(key)'")
      }
      return try Self.parsed(Array(text.utf8), "ConfigMap \(namespace)/\(name)")
    }
  }

  private static func parsed(_ bytes: [UInt8], _ origin: String) throws(ClusterError) -> JSON {
    guard let object = jsonFromYAML(bytes), case .object = object else {
      throw ClusterError(.configuration, "\(origin) holds no object")
    }
    return object
  }
}
