import CCurl
import Posix

/// A message on its way to a mail server (RFC 5321), as libcurl sends one.
extension Transfer {
  func configure(_ mail: OutboundMail) throws(OutboundError) {
    let handle = unsafe easy.raw
    try easy.check(unsafe ccurl_set_pointer(handle, CURLOPT_CURLU, UnsafeRawPointer(target.raw)))
    try easy.check(unsafe ccurl_allow_only_smtp(handle))
    try easy.check(unsafe ccurl_leave_lookups_behind(handle))
    try easy.set(CURLOPT_NOSIGNAL, 1)
    try easy.set(CURLOPT_NETRC, 0)
    try easy.set(CURLOPT_PROXY, "")
    try easy.set(CURLOPT_SSL_VERIFYPEER, 1)
    try easy.set(CURLOPT_SSL_VERIFYHOST, 2)
    // A connection is for one message: who signed in on it is nobody else's business.
    try easy.set(CURLOPT_FRESH_CONNECT, 1)
    try easy.set(CURLOPT_FORBID_REUSE, 1)
    // A server that does not go over to TLS is left before anything is said to it.
    let mustEncrypt = mail.encryption == .none ? CURLUSESSL_NONE : CURLUSESSL_ALL
    try easy.set(CURLOPT_USE_SSL, Int(mustEncrypt.rawValue))
    if !mail.authorities.isEmpty { try easy.set(CURLOPT_CAINFO_BLOB, blob: mail.authorities) }
    if let (username, password) = mail.credentials {
      try easy.set(CURLOPT_USERNAME, username)
      try easy.set(CURLOPT_PASSWORD, password)
    }
    // The deadline is the loop's timer; this only lifts libcurl's own limit of five minutes.
    let milliseconds = max(1, mail.timeout.wholeNanoseconds / 1_000_000)
    try easy.set(CURLOPT_CONNECTTIMEOUT_MS, Int(milliseconds))
    try easy.set(CURLOPT_MAIL_FROM, "<\(mail.sender)>")
    for recipient in mail.recipients {
      try easy.check(
        unsafe ccurl_set_pointer(handle, CURLOPT_MAIL_RCPT, route.append("<\(recipient)>"))
      )
    }
    try easy.set(CURLOPT_UPLOAD, 1)
    let me = unsafe Unmanaged.passUnretained(self).toOpaque()
    try easy.check(
      unsafe ccurl_on_upload(
        handle,
        { place, size, count, context in
          guard let transfer = unsafe Transfer.from(context), let place = unsafe place else {
            return Int(CURL_READFUNC_ABORT)
          }
          return unsafe transfer.fill(
            UnsafeMutableRawBufferPointer(start: place, count: size * count)
          )
        },
        me
      )
    )
    try installCallbacks()
  }

  /// Copies what comes next of the message.
  private func fill(_ place: UnsafeMutableRawBufferPointer) -> Int {
    let part = upload.prefix(place.count)
    unsafe place.copyBytes(from: part)
    upload = upload.dropFirst(part.count)
    return part.count
  }

  /// What the server said last; nil where it said nothing.
  var reply: MailReply? {
    lastLine.isEmpty ? nil : MailReply(code: Int(lastLine.prefix(3)) ?? 0, text: lastLine)
  }
}
