import Cluster
import HTTPClient
package import JSON

/// One attempt of a forge to call a hook.
package struct HookDelivery: Sendable {
  /// Grows with time.
  package let id: Int
  /// The delivery's id, the same for each of its attempts.
  package let guid: String
  /// 0 where nobody answered.
  package let status: Int
  /// What the attempt called its hook in its headers; nil where the list does not say.
  package let hook: String?
  /// Whether another attempt has the same `guid`. One that has not would be a second event.
  package let isRepeatable: Bool
}

/// What a forge sent to a hook, as it says now.
package struct SentDelivery: Sendable {
  package let headers: [(name: String, value: String)]
  package let body: JSON
}

/// How a forge tells of what it sent to a hook, and sends it again: a row of the table below.
package struct DeliveryRow: Sendable {
  /// Of the list, below the hook's path.
  let list: String
  let query: String
  /// Of a request for another attempt, below the one that is asked for again.
  let again: String
  /// The list of hooks is asked for at every so manieth look, the deliveries at the others.
  package let hooksEvery: Int
  /// How many of one hook may be asked for again in a minute; nil: only the forge's limits for
  /// everything count.
  package let againPerMinute: Int?
  /// The header that names the hook where the forge does not tell it with the others.
  package let hookHeader: String?
  /// Whether the list has all of each delivery, so that none can be asked for by itself.
  package let isListWhole: Bool
  let found: @Sendable (JSON) -> HookDelivery?
  /// nil where the forge does not have it any more.
  let sent: @Sendable (JSON) -> SentDelivery?
}

extension ForgeKind {
  /// nil where the forge keeps no list of what it sent, or has no API for it.
  package var deliveryRow: DeliveryRow? {
    switch self {
    case .github: Self.githubDeliveries
    case .gitlab: Self.gitlabDeliveries
    case .gitea, .bitbucket, .bitbucketserver, .gerrit: nil
    }
  }

  private static let githubDeliveries = DeliveryRow(
    list: "/deliveries",
    query: "?per_page=100",
    again: "/attempts",
    hooksEvery: 10,
    againPerMinute: nil,
    hookHeader: "X-GitHub-Hook-ID",
    isListWhole: false,
    found: { item in
      guard let id = item["id"]?.wholeNumber, let guid = item["guid"]?.asString else { return nil }
      return HookDelivery(
        id: id,
        guid: guid,
        status: item["status_code"]?.wholeNumber ?? 0,
        hook: nil,
        isRepeatable: true
      )
    },
    sent: { item in
      guard let request = item["request"], let body = request["payload"], !body.members.isEmpty
      else { return nil }
      return SentDelivery(headers: headers(request["headers"]), body: body)
    }
  )

  /// GitLab's events of hooks, from version 17.3 on, and 17.4 to send one again. It keeps seven
  /// days of them.
  private static let gitlabDeliveries = DeliveryRow(
    list: "/events",
    // Each comes with its whole body.
    query: "?per_page=20",
    again: "/resend",
    // Whether it has disabled the hook is told in the list of hooks alone.
    hooksEvery: 2,
    againPerMinute: 5,
    hookHeader: nil,
    isListWhole: true,
    found: { item in
      let headers = item["request_headers"]
      // Only this key stays the same when a delivery is sent again.
      let key = headers?["Idempotency-Key"]?.asString
      guard let id = item["id"]?.wholeNumber,
        let guid = key ?? headers?["X-Gitlab-Event-UUID"]?.asString
      else { return nil }
      // In words where nobody answered.
      let status = item["response_status"]?.text ?? ""
      return HookDelivery(
        id: id,
        guid: guid,
        status: Int(status) ?? 0,
        hook: headers?["X-Gitlab-Webhook-UUID"]?.asString,
        isRepeatable: key != nil
      )
    },
    sent: { item in
      // What was too large for its table is not kept.
      guard let body = item["request_data"], !body.members.isEmpty, body != ["oversize": true]
      else { return nil }
      return SentDelivery(headers: headers(item["request_headers"]), body: body)
    }
  )

  private static func headers(_ json: JSON?) -> [(name: String, value: String)] {
    json?.members.compactMap { member in
      member.value.asString.map { (name: member.key, value: $0) }
    } ?? []
  }
}

extension ForgeClient {
  private func path(_ hook: String, _ target: HookTarget) throws(ForgeError) -> (
    row: DeliveryRow, path: String
  ) {
    guard let row = kind.deliveryRow else {
      throw ForgeError(.refused(status: 0), "\(kind.rawValue) does not tell what it sent")
    }
    return (row, kind.hookRow.path(target) + "/" + percentEncoded(hook) + row.list)
  }

  /// A page of what was sent to a hook, the newest first.
  /// - Parameter page: as the page before it says; nil: the first.
  /// - Throws: `ForgeError`.
  package func deliveries(
    of hook: String,
    at target: HookTarget,
    page: String?
  ) async throws(ForgeError) -> (deliveries: [HookDelivery], answer: ForgeAnswer) {
    let (row, list) = try path(hook, target)
    let answer = try await call(.get, page ?? list + row.query)
    return (try items(answer).compactMap(row.found), answer)
  }

  private func items(_ answer: ForgeAnswer) throws(ForgeError) -> [JSON] {
    guard case .array(let items) = answer.body else {
      throw ForgeError(.later(after: nil), "the forge's answer is no list of deliveries")
    }
    return items
  }

  /// Has the forge send a delivery again.
  /// - Throws: `ForgeError`.
  package func redeliver(
    _ delivery: Int,
    of hook: String,
    at target: HookTarget
  ) async throws(ForgeError) -> ForgeAnswer {
    let (row, list) = try path(hook, target)
    return try await call(.post, "\(list)/\(delivery)\(row.again)")
  }

  /// What the forge sent in these attempts, as far as it still has it.
  /// - Parameters:
  ///   - pagesMax: of the list, where only that has it.
  ///   - take: gets each, with the attempt's id.
  /// - Throws: `ForgeError` of kind `later`: what it cannot show is left out.
  package func sent(
    _ deliveries: Set<Int>,
    of hook: String,
    at target: HookTarget,
    pagesMax: Int,
    take: (Int, SentDelivery) async -> Void
  ) async throws(ForgeError) {
    do throws(ForgeError) {
      let (row, list) = try path(hook, target)
      guard row.isListWhole else {
        for id in deliveries.sorted() { try await one(id, row, list, take) }
        return
      }
      var wanted = deliveries
      var page: String? = list + row.query
      var pages = 0
      while let address = page, !wanted.isEmpty, pages < pagesMax {
        pages += 1
        let answer = try await call(.get, address)
        for item in try items(answer) {
          guard let id = item["id"]?.wholeNumber, wanted.remove(id) != nil else { continue }
          if let sent = row.sent(item) { await take(id, sent) }
        }
        page = answer.next
      }
    } catch {
      if case .later = error.kind { throw error }
    }
  }

  private func one(
    _ id: Int,
    _ row: DeliveryRow,
    _ list: String,
    _ take: (Int, SentDelivery) async -> Void
  ) async throws(ForgeError) {
    do throws(ForgeError) {
      if let sent = row.sent(try await call(.get, "\(list)/\(id)").body) { await take(id, sent) }
    } catch {
      // One that the forge does not show says nothing of the others.
      if case .later = error.kind { throw error }
    }
  }
}
