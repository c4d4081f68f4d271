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
  let pairs: [RouteTLS]
  let clientAuthorities: RouteTLS.Field?

  /// nil: the port is served in plain.
  init?(_ routes: [Route]) {
    var seen: Set<[String]> = []
    pairs = routes.compactMap(\.tls).filter {
      let (certificate, key) = ($0.certificate.selector, $0.key.selector)
      return seen.insert([certificate.name, certificate.key, key.name, key.key]).inserted
    }
    clientAuthorities = pairs.first?.clientAuthorities
    if pairs.isEmpty { return nil }
  }

  /// Reports what is wrong with the port as a whole, or with its certificates.
  func check(_ routes: [Route], _ secrets: any SecretStore, _ diagnostics: Diagnostics) {
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
    for tls in routes.compactMap(\.tls) {
      // One that a client need not fulfil on a neighbour's path would be no condition at all.
      if tls.clientAuthorities?.selector.place != clientAuthorities?.selector.place {
        report(
          tls.clientAuthorities ?? tls.certificate,
          "clientCASecret differs from another event source's on port \(port): a port has one"
        )
      }
    }
    do throws(CertificateProblem) {
      for (pair, identity) in zip(pairs, try identities(try read(secrets))) {
        if identity.hasExpired {
          report(pair.certificate, "the certificate's time is over", .warning)
        }
      }
      _ = try load(try read(secrets))
    } catch { report(error.field, error.why) }
  }

  /// The texts of all certificates and keys.
  func read(_ secrets: any SecretStore) throws(CertificateProblem) -> [[UInt8]] {
    var texts: [[UInt8]] = []
    let fields =
      pairs.flatMap { [$0.certificate, $0.key] } + (clientAuthorities.map { [$0] } ?? [])
    for field in fields {
      do throws(SecretError) {
        let (name, key) = (field.selector.name, field.selector.key)
        texts.append(try secrets.secret(name: name, key: key).reveal())
      } catch { throw CertificateProblem(field: field, why: "\(error)") }
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

  private func problem(_ error: TLSError, _ pair: RouteTLS) -> CertificateProblem {
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

extension SecretSelector {
  fileprivate var place: [String] { [name, key] }
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

  private let secrets: any SecretStore
  private let logger: Logger
  private let state: Mutex<State>

  init(_ certificates: PortCertificates?, _ secrets: any SecretStore, _ logger: Logger) {
    self.secrets = secrets
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
      let texts = try certificates.read(secrets)
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
