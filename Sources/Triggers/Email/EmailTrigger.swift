import Event
import HTTPClient
import JSON
package import Manifest
package import Plugin
import Posix

/// `email`: one message to all its addresses, through a mail server (spec section 4.4). Parameters
/// over the fields work, which Argo Events computes and ignores.
package struct EmailTrigger: Trigger {
  package static let kind = "email"
  package static let concurrency = 4
  package static let runsPrograms = false

  private let spec: EmailSpec
  private let host: any TriggerHost

  package static func refusal(ofParameter destination: String) -> String? {
    if ["from", "subject", "body"].contains(destination) { return nil }
    if destination.hasPrefix("to."), Int(destination.dropFirst(3)) != nil { return nil }
    return "found '\(destination)', expected from, subject, body or to.NUMBER"
  }

  package init(_ spec: EmailSpec, original: EmailSpec?, host: any TriggerHost, _ block: Block) {
    self.spec = spec
    self.host = host
    // What parameters bring is looked at when they have: a template may leave gaps.
    if let original, !spec.hasSameServer(as: original) {
      block.error(nil, "an event must not choose the mail server")
    }
    for (field, selector) in spec.secrets {
      do throws(SecretError) {
        _ = try host.secrets.secret(name: selector.name, key: selector.key)
      } catch { block.error(field, "\(error)") }
    }
  }

  package func fire(_ firing: Firing) async -> Outcome {
    let message: MailMessage
    do throws(MailProblem) {
      message = try MailMessage(
        from: spec.from,
        to: spec.to,
        subject: spec.subject,
        body: spec.body,
        id: firing.id.text,
        seconds: Int(wallClockNanoseconds() / 1_000_000_000)
      )
    } catch { return .reject(why: error.description, result: .null) }
    var mail = OutboundMail(
      host: spec.host,
      port: spec.port,
      encryption: spec.encryption,
      sender: message.sender,
      recipients: message.recipients,
      message: message.bytes,
      timeout: spec.timeout
    )
    var mask = SecretMask([])
    do throws(SecretError) {
      if let selector = spec.password {
        let password = try host.secrets.secret(name: selector.name, key: selector.key).reveal()
        mask = SecretMask([password])
        mail.credentials = (spec.username, String(decoding: password, as: UTF8.self))
      }
      if let selector = spec.authorities {
        mail.authorities = try host.secrets.secret(name: selector.name, key: selector.key).reveal()
      }
    } catch { return .retry(after: nil, why: "\(error)", result: .null) }
    return await send(mail, mask)
  }

  private func send(_ mail: OutboundMail, _ mask: SecretMask) async -> Outcome {
    func result(_ reply: MailReply?) -> JSON {
      guard let reply, reply.code > 0 else { return .null }
      return ["code": JSON(reply.code), "reply": .string(mask.applied(to: reply.text))]
    }
    do throws(MailError) {
      return .done(result: result(try await host.send(mail)))
    } catch {
      let result = result(error.reply)
      let code = error.reply?.code ?? 0
      let words = error.reply.map { code >= 400 ? " (\($0.text))" : "" } ?? ""
      let why = mask.applied(to: error.cause.description + words)
      switch error.cause.kind {
      case .malformedURL, .malformedHeader, .refusedAddress:
        return .reject(why: why, result: result)
      // A refusal for good (RFC 5321 section 4.2.1), of an address as of a password.
      default:
        return code >= 500
          ? .reject(why: why, result: result) : .retry(after: nil, why: why, result: result)
      }
    }
  }
}
