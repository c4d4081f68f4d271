package import Posix
import Synchronization

/// Who a client is, and how much one may ask.
package struct ClientRules: Sendable {
  /// Proxies whose word about the address of a client is taken; nobody else's is.
  package var trustedProxies: [NetworkRange] = []
  /// Trusted proxies begin each connection with a header of the PROXY protocol, version 1 or 2,
  /// before anything else. Without one from them the connection is closed.
  package var usesProxyProtocol = false
  /// nil: as many requests as it likes.
  package var rate: ClientRate?

  package init() {}

  func trusts(_ peer: NetworkAddress?) -> Bool {
    guard let peer else { return false }
    return trustedProxies.contains { $0.contains(peer) }
  }

  /// Who sent a request that came over a connection from `peer`: of the addresses that
  /// `X-Forwarded-For` names, the last one that is no trusted proxy. What stands before it could
  /// have been written by anybody.
  func client(_ peer: NetworkAddress?, _ headers: Headers) -> NetworkAddress? {
    guard trusts(peer) else { return peer }
    var client = peer
    let values = headers.fields.filter { equalIgnoringCase($0.name, "X-Forwarded-For") }
    let named = values.flatMap { $0.value.split(separator: ",") }
    for entry in named.reversed() {
      guard let address = forwardedAddress(entry) else { return client }
      client = address
      if !trusts(address) { return address }
    }
    return client
  }
}

/// An address of `X-Forwarded-For`, which some proxies write with a port: `192.0.2.1:4711`,
/// `[2001:db8::1]:4711`.
private func forwardedAddress(_ entry: Substring) -> NetworkAddress? {
  let text = entry.filter { $0 != " " && $0 != "\t" }
  if text.first == "[" {
    return NetworkAddress(String(text.dropFirst().prefix { $0 != "]" }))
  }
  let parts = text.split(separator: ":", omittingEmptySubsequences: false)
  return NetworkAddress(parts.count == 2 ? String(parts[0]) : text)
}

/// How many requests an address may send: a steady rate with a burst (GCRA). Addresses of IPv6
/// count by their first 64 bits, which is what one subscriber has.
package final class ClientRate: Sendable {
  private struct Books {
    /// When the requests so far will have been paid for.
    var paid: [NetworkAddress: MonotonicTime] = [:]
    /// When there is next looked for addresses that owe nothing any longer.
    var clearing: MonotonicTime?
  }

  private let interval: Duration
  private let tolerance: Duration
  private let addressesMax: Int
  private let books = Mutex(Books())

  /// - Parameters:
  ///   - perSecond: more than 0.
  ///   - burst: requests at once, at least 1.
  ///   - addressesMax: addresses that are watched at a time; with more, a new one is let in
  ///     uncounted.
  package init(perSecond: Int, burst: Int, addressesMax: Int = 65_536) {
    self.addressesMax = addressesMax
    interval = .nanoseconds(1_000_000_000 / perSecond)
    tolerance = interval * (burst - 1)
  }

  /// nil when the request may come; otherwise how long it has to wait.
  func excess(of client: NetworkAddress, at now: MonotonicTime) -> Duration? {
    let key = client.v4 == nil ? NetworkAddress(bits: client.bits & ~0 << 64) : client
    return books.withLock { books in
      let due = max(books.paid[key] ?? now, now)
      let wait = (due - now) - tolerance
      if wait > .zero { return wait }
      if books.paid[key] == nil, !hasRoom(in: &books, now) { return nil }
      books.paid[key] = due + interval
      return nil
    }
  }

  /// Clears at most once a second: a flood of new addresses must not have all of them looked
  /// through for each of its requests.
  private func hasRoom(in books: inout Books, _ now: MonotonicTime) -> Bool {
    if books.paid.count < addressesMax { return true }
    if let clearing = books.clearing, now < clearing { return false }
    books.clearing = now + .seconds(1)
    books.paid = books.paid.filter { $0.value > now }
    return books.paid.count < addressesMax
  }
}
