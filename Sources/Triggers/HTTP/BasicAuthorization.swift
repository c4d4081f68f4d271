import JSON

/// Base64 with padding (RFC 4648 section 4).
func base64(_ bytes: [UInt8]) -> String {
  String(decoding: Base64.encode(bytes[...]), as: UTF8.self)
}
