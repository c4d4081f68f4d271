import CCurl
import Posix

/// The transfers in flight and the connections they share: libcurl's "multi" handle, told by the
/// loop which sockets are ready and when its time has come. On the loop.
@safe final class TransferPool: @unchecked Sendable {
  // SAFETY: touched only on the loop's thread once `init` has returned.

  private let loop: EventLoop
  private let multi: UnsafeMutableRawPointer
  private let requestsMax: Int
  private var transfers: [UInt: Transfer] = [:]
  private var watches: [Int32: EventLoop.Watch] = [:]
  private var timer: EventLoop.Timer?

  init(_ loop: EventLoop, _ limits: HTTPClient.Limits) throws(SystemError) {
    guard globalInit == CURLE_OK, let multi = unsafe curl_multi_init() else {
      throw SystemError("curl_multi_init", code: 12 /* ENOMEM */)
    }
    self.loop = loop
    unsafe self.multi = unsafe multi
    requestsMax = limits.requests
    unsafe ccurl_multi_set_long(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, limits.connections)
    unsafe ccurl_multi_set_long(multi, CURLMOPT_MAX_HOST_CONNECTIONS, limits.connectionsPerHost)
    unsafe ccurl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, limits.connections)
    installCallbacks()
  }

  private func installCallbacks() {
    let me = unsafe Unmanaged.passUnretained(self).toOpaque()
    unsafe ccurl_multi_on_socket(
      multi,
      { _, socket, what, context, _ in
        guard let context = unsafe context else { return 0 }
        unsafe Unmanaged<TransferPool>.fromOpaque(context).takeUnretainedValue()
          .watch(socket, what)
        return 0
      },
      me
    )
    unsafe ccurl_multi_on_timer(
      multi,
      { _, milliseconds, context in
        guard let context = unsafe context else { return 0 }
        unsafe Unmanaged<TransferPool>.fromOpaque(context).takeUnretainedValue()
          .wake(after: milliseconds)
        return 0
      },
      me
    )
  }

  // MARK: Transfers

  func start(_ transfer: Transfer) {
    if transfer.isCancelled { return end(transfer, .failure(.cancelled)) }
    guard transfers.count < requestsMax else {
      let error = OutboundError(.transport, "more than \(requestsMax) requests at once")
      return end(transfer, .failure(error))
    }
    transfers[key(transfer)] = transfer
    transfer.deadline = loop.timer(after: transfer.timeout) { [unowned self, unowned transfer] in
      abort(transfer, transfer.timedOut())
    }
    let code = unsafe curl_multi_add_handle(multi, transfer.handle)
    if code != CURLM_OK { abort(transfer, .unusable(code)) }
  }

  func cancel(_ transfer: Transfer) {
    transfer.isCancelled = true
    abort(transfer, .cancelled)
  }

  /// Ends everything; the pool is of no use afterwards.
  func shutDown() {
    for transfer in transfers.values { abort(transfer, .cancelled) }
    unsafe curl_multi_cleanup(multi)
    timer?.cancel()
    for watch in watches.values { watch.cancel() }
    watches = [:]
  }

  private func abort(_ transfer: Transfer, _ error: OutboundError) {
    guard transfers[key(transfer)] != nil else { return }
    end(transfer, .failure(error))
  }

  private func end(_ transfer: Transfer, _ result: Result<OutboundResponse, OutboundError>) {
    if transfers.removeValue(forKey: key(transfer)) != nil {
      unsafe curl_multi_remove_handle(multi, transfer.handle)
    }
    transfer.deadline?.cancel()
    transfer.deadline = nil
    transfer.continuation?.resume(returning: result)
    transfer.continuation = nil
  }

  private func key(_ transfer: Transfer) -> UInt { unsafe UInt(bitPattern: transfer.handle) }

  // MARK: What libcurl asks for

  private func watch(_ socket: Int32, _ what: Int32) {
    if what == CURL_POLL_REMOVE {
      watches.removeValue(forKey: socket)?.cancel()
      return
    }
    var interest: EventLoop.Readiness = []
    if what & CURL_POLL_IN != 0 { interest.formUnion([.readable, .peerClosed]) }
    if what & CURL_POLL_OUT != 0 { interest.insert(.writable) }
    if let watch = watches[socket] { return watch.update(interest) }
    // A socket that cannot be watched leaves its transfer to the deadline.
    watches[socket] = try? loop.watch(socket, for: interest) { [unowned self] readiness in
      ready(socket, readiness)
    }
  }

  private func wake(after milliseconds: Int) {
    timer?.cancel()
    timer = nil
    guard milliseconds >= 0 else { return }
    timer = loop.timer(after: .milliseconds(milliseconds)) { [unowned self] in
      act(CURL_SOCKET_TIMEOUT, 0)
    }
  }

  // MARK: What happened

  private func ready(_ socket: Int32, _ readiness: EventLoop.Readiness) {
    var what: Int32 = 0
    if !readiness.isDisjoint(with: [.readable, .peerClosed]) { what |= CURL_CSELECT_IN }
    if readiness.contains(.writable) { what |= CURL_CSELECT_OUT }
    // Reading and writing find out which error it is.
    if readiness.contains(.failed) { what |= CURL_CSELECT_IN | CURL_CSELECT_OUT }
    act(socket, what)
  }

  private func act(_ socket: Int32, _ what: Int32) {
    var running: Int32 = 0
    let code = unsafe curl_multi_socket_action(multi, socket, what, &running)
    guard code == CURLM_OK else {
      for transfer in transfers.values { abort(transfer, .unusable(code)) }
      return
    }
    var left: Int32 = 0
    while let message = unsafe curl_multi_info_read(multi, &left) {
      guard unsafe message.pointee.msg == CURLMSG_DONE else { continue }
      let result = unsafe message.pointee.data.result
      guard let transfer = unsafe transfers[UInt(bitPattern: message.pointee.easy_handle)] else {
        continue
      }
      end(transfer, transfer.result(result))
    }
  }
}

extension OutboundError {
  static let cancelled = OutboundError(.cancelled, "the request was cancelled")

  fileprivate static func unusable(_ code: CURLMcode) -> OutboundError {
    OutboundError(.transport, unsafe String(cString: curl_multi_strerror(code)))
  }
}

/// Once per process, before any other call.
private let globalInit = curl_global_init(Int(CURL_GLOBAL_DEFAULT))
