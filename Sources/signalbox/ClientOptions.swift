import ArgumentParser
import Posix
import Server

/// Who clients are behind proxies, what one may ask, and what is written of it.
struct ClientOptions: ParsableArguments {
  @Option(
    help: """
      An address or a range of proxies whose X-Forwarded-For is taken as the address of a client; \
      may be repeated. Nobody else's is.
      """
  )
  var trustedProxy: [String] = []

  @Flag(
    help: """
      Trusted proxies begin each connection with a header of the PROXY protocol, version 1 or 2.
      """
  )
  var proxyProtocol = false

  @Option(
    help: """
      Requests a second that one address may send, more get 429; N or N:BURST, a burst is 2 N \
      unless given. Default: any number, since many forges do not repeat what got a 429.
      """
  )
  var requestsPerAddress: String?

  @Option(
    help: """
      A file that gets a line of JSON for each request to an event source; opened anew on SIGHUP.
      """
  )
  var accessLog: String?

  private var rate: (perSecond: Int, burst: Int)? {
    guard let requestsPerAddress else { return nil }
    let parts = requestsPerAddress.split(separator: ":", omittingEmptySubsequences: false)
    guard let count = Int(parts[0]), (1...1_000_000).contains(count), parts.count <= 2 else {
      return nil
    }
    if parts.count == 1 { return (count, 2 * count) }
    guard let burst = Int(parts[1]), (1...1_000_000).contains(burst) else { return nil }
    return (count, burst)
  }

  mutating func validate() throws {
    for entry in trustedProxy where NetworkRange(entry) == nil {
      throw ValidationError(
        """
        --trusted-proxy: found '\(entry)', expected an address such as 10.1.2.3 or a range such \
        as 10.0.0.0/8 whose bits behind the prefix are zero
        """
      )
    }
    if proxyProtocol && trustedProxy.isEmpty {
      throw ValidationError("--proxy-protocol needs --trusted-proxy: who may speak it?")
    }
    if requestsPerAddress != nil && rate == nil {
      throw ValidationError("--requests-per-address is N or N:BURST, each from 1 to 1000000")
    }
  }

  func apply(to configuration: inout Server.Configuration) {
    configuration.trustedProxies = trustedProxy.compactMap(NetworkRange.init)
    configuration.usesProxyProtocol = proxyProtocol
    configuration.clientRate = rate
    configuration.accessLog = accessLog
  }
}
