import HTTP
import Logging
import Manifest
import Plugin
import Posix
import Synchronization
import TLS

/// What the routes of one port say about certificates. Several hosts share a port: a client gets
/// the certificate that is for the host it names.
struct PortCertificates: Sendable {
  /// Each pair of certificate and key once, in the order of the routes.
  let pairs: [OwnedTLS]
  var clientAuthorities: RouteTLS.Field? { pairs.first?.clientAuthorities }

  /// nil: the port is served in plain.
  init?(_ routes: [Route]) {
    var seen: Set<[String]> = []
    pairs = routes.compactMap(OwnedTLS.init).filter {
      let (certificate, key) = ($0.certificate.selector, $0.key.selector)
      let place = [$0.namespace, certificate.name, certificate.key, key.name, key.key]
      return seen.insert(place).inserted
    }
    if pairs.isEmpty { return nil }
  }

  /// Reports what is wrong with the port as a whole, or with its certificates.
  func check(_ routes: [Route], _ diagnostics: Diagnostics) {
    func report(_ field: RouteTLS.Field, _ why: String, _ severity: Diagnostic.Severity = .error) {
      diagnostics.add(Diagnostic(severity, field.selector.mark, field: field.path, why))
    }
    let port = routes[0].port
    if let plain = routes.first(where: { $0.tls == nil }) {
      report(
        pairs[0].certificate,
        "port \(port) is served without TLS for \(plain.path): a port has TLS for all or for none"
      )
    }
    for tls in routes.compactMap(OwnedTLS.init) {
      // One that a client need not fulfil on a neighbour's path would be no condition at all.
      if tls.authoritiesPlace != pairs[0].authoritiesPlace {
        report(
          tls.clientAuthorities ?? tls.certificate,
          "clientCASecret differs from another event source's on port \(port): a port has one"
        )
      }
    }
    do throws(CertificateProblem) {
      for (pair, identity) in zip(pairs, try identities(try read())) {
        if identity.hasExpired {
          report(pair.certificate, "the certificate's time is over", .warning)
        }
      }
      _ = try load(try read())
    } catch { report(error.field, error.why) }
  }

  /// The texts of all certificates and keys.
  func read() throws(CertificateProblem) -> [[UInt8]] {
    var texts: [[UInt8]] = []
    for pair in pairs {
      texts.append(try pair.text(of: pair.certificate))
      texts.append(try pair.text(of: pair.key))
    }
    if let first = pairs.first, let authorities = first.clientAuthorities {
      texts.append(try first.text(of: authorities))
    }
    return texts
  }

  /// A context from the texts that `read` gave.
  func load(_ texts: [[UInt8]]) throws(CertificateProblem) -> TLSServerContext {
    let identities = try identities(texts)
    do throws(TLSError) {
      return try TLSServerContext(
        identities,
        clientAuthorities: clientAuthorities == nil ? nil : texts.last,
        protocols: HTTPServer.protocols
      )
    } catch { throw problem(error, pairs[0]) }
  }

  private func identities(_ texts: [[UInt8]]) throws(CertificateProblem) -> [TLSIdentity] {
    var identities: [TLSIdentity] = []
    for (place, pair) in pairs.enumerated() {
      do throws(TLSError) {
        let (certificates, key) = (texts[2 * place], texts[2 * place + 1])
        identities.append(try TLSIdentity(certificates: certificates, key: key))
      } catch { throw problem(error, pair) }
    }
    return identities
  }

  private func problem(_ error: TLSError, _ pair: OwnedTLS) -> CertificateProblem {
    switch error {
    case .certificate, .failed: CertificateProblem(field: pair.certificate, why: "\(error)")
    case .key: CertificateProblem(field: pair.key, why: "\(error)")
    case .authorities:
      CertificateProblem(field: clientAuthorities ?? pair.certificate, why: "\(error)")
    }
  }
}

/// What is wrong with certificates, and where they are named.
struct CertificateProblem: Error {
  let field: RouteTLS.Field
  let why: String
}

/// The certificates of one route, with whose they are: manifests of several namespaces share a
/// port, and each names secrets of its own.
struct OwnedTLS: Sendable {
  private let tls: RouteTLS
  let namespace: String
  private let secrets: any SecretStore

  init?(_ route: Route) {
    guard let tls = route.tls, let owner = route.owner else { return nil }
    self.tls = tls
    (namespace, secrets) = owner
  }

  var certificate: RouteTLS.Field { tls.certificate }
  var key: RouteTLS.Field { tls.key }
  var clientAuthorities: RouteTLS.Field? { tls.clientAuthorities }

  fileprivate func text(of field: RouteTLS.Field) throws(CertificateProblem) -> [UInt8] {
    do throws(SecretError) {
      return try secrets.secret(name: field.selector.name, key: field.selector.key).reveal()
    } catch { throw CertificateProblem(field: field, why: "\(error)") }
  }

  /// nil: clients need no certificate.
  fileprivate var authoritiesPlace: [String]? {
    clientAuthorities.map { [namespace, $0.selector.name, $0.selector.key] }
  }
}

/// The TLS context of one port. Secrets are looked at again when a client comes, at most once a
/// second: a certificate that changed takes effect with the next connection.
final class PortTLS: Sendable {
  private struct State {
    var certificates: PortCertificates?
    var context: TLSServerContext?
    /// The texts last read, also those that no context could be made of.
    var texts: [[UInt8]] = []
    /// What was logged last, so that it is not logged every second.
    var problem = ""
    var next = MonotonicTime.now()
  }

  private let logger: Logger
  private let state: Mutex<State>

  init(_ certificates: PortCertificates?, _ logger: Logger) {
    self.logger = logger
    state = Mutex(State(certificates: certificates))
  }

  /// What the manifests say now. What they said before is not served any longer.
  func replace(with certificates: PortCertificates?) {
    state.withLock { $0 = State(certificates: certificates) }
  }

  /// For a new connection.
  func encryption() -> Encryption {
    state.withLock { state in
      guard let certificates = state.certificates else { return .plain }
      let now = MonotonicTime.now()
      if now >= state.next {
        state.next = now + .seconds(1)
        refresh(certificates, &state)
      }
      return state.context.map { .tls($0) } ?? .unavailable
    }
  }

  private func refresh(_ certificates: PortCertificates, _ state: inout State) {
    do throws(CertificateProblem) {
      let texts = try certificates.read()
      if texts == state.texts { return }
      state.texts = texts
      state.context = try certificates.load(texts)
      state.problem = ""
      let fields = certificates.pairs.map(\.certificate.path).joined(separator: ", ")
      logger.info("certificates were read", metadata: ["fields": "\(fields)"])
    } catch {
      let problem = "\(error.field.path): \(error.why)"
      if problem == state.problem { return }
      state.problem = problem
      logger.error("new certificates are not used", metadata: ["error": "\(problem)"])
    }
  }
}
