import TLS
import Testing

@Suite struct TLSTests {
  private let key = HMACKey(Array("It's a Secret to Everybody".utf8))

  @Test("HMAC gives GitHub's published code, whole and in pieces")
  func publishedCode() {
    let wanted = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    #expect(hexadecimal(key.code(Array("Hello, World!".utf8))) == wanted)
    var stream = key.stream()
    for part in ["Hello", ", ", "World!"] { stream.update(Array(part.utf8)) }
    #expect(hexadecimal(stream.finish()) == wanted)
  }

  @Test("SHA-256 gives the value of FIPS 180-4 for abc")
  func digest() {
    #expect(
      hexadecimal(SHA256.digest(Array("abc".utf8)))
        == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
  }

  @Test("comparison tells equal from different at every place and length")
  func comparison() {
    let secret = Array("0123456789abcdef".utf8)
    #expect(constantTimeEquals(secret, secret))
    #expect(!constantTimeEquals(secret, []))
    #expect(!constantTimeEquals(secret, Array(secret.dropLast())))
    for place in secret.indices {
      var other = secret
      other[place] ^= 1
      #expect(!constantTimeEquals(secret, other))
    }
  }
}
