import Foundation
import Logging
import Testing

@testable import Observe

@Suite struct LogTests {
  @Test("a text line is time, level, message and the fields in order, quoted where needed")
  func text() throws {
    let lines = try written { logger in
      logger.info(
        "sensor loaded",
        metadata: ["sensor": "build", "empty": "", "b": "two words", "a": "x=y", "n": "\(3)"]
      )
      logger.warning("no fields")
    }
    #expect(
      lines == [
        #"2026-01-02T03:04:05.678Z info sensor loaded a="x=y" b="two words" empty="" n=3 "#
          + "sensor=build",
        "2026-01-02T03:04:05.678Z warning no fields",
      ]
    )
  }

  @Test(
    "what a sender chose can neither end the line nor drive a terminal",
    arguments: LogFormat.allCases
  )
  func injection(format: LogFormat) throws {
    let hostile = "a\nb\r\u{1B}[31m\u{85}\u{202E}"
    let lines = try written(format) { logger in
      logger.error("got \(hostile)", metadata: ["value": "\(hostile)"])
    }
    #expect(lines.count == 1)
    #expect(lines[0].contains(#"got a\nb\r\u001b[31m\u0085\u202e"#))
    #expect(lines[0].unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value < 0x7F })
  }

  @Test("a JSON line is one object with every field, ours never overwritten")
  func json() throws {
    let lines = try written(.json) { logger in
      logger.notice(
        "said \"hi\"",
        metadata: ["level": "mine", "list": ["a", ["k": "v"]], "path": #"C:\x"#]
      )
    }
    #expect(
      lines == [
        #"{"time":"2026-01-02T03:04:05.678Z","level":"notice","logger":"test","#
          + #""message":"said \"hi\"","level_":"mine","list":["a",{"k":"v"}],"path":"C:\\x"}"#
      ]
    )
    let object = try JSONSerialization.jsonObject(with: Data(lines[0].utf8)) as? [String: Any]
    #expect(object?["message"] as? String == "said \"hi\"")
  }

  @Test("the call's fields win over the provider's, and those over the logger's")
  func precedence() throws {
    let lines = try written { logger in
      var logger = logger
      logger[metadataKey: "a"] = "logger"
      logger[metadataKey: "b"] = "logger"
      logger[metadataKey: "c"] = "logger"
      logger.handler.metadataProvider = .init { ["b": "provider", "c": "provider"] }
      logger.info("m", metadata: ["c": "call"])
    }
    #expect(lines == ["2026-01-02T03:04:05.678Z info m a=logger b=provider c=call"])
  }

  @Test("a level below the logger's is not written")
  func levels() throws {
    #expect(try written { $0.debug("hidden") } == [])
  }

  @Test("colour is for terminals: a file gets none")
  func colour() throws {
    try withTemporaryFile { file in
      #expect(!LogOutput(descriptor: file.fileDescriptor).wantsColour)
    }
    let lines = try written(isColoured: true) { $0.error("red") }
    #expect(lines == ["2026-01-02T03:04:05.678Z \u{1B}[31merror\u{1B}[0m red"])
  }

  @Test("lines written from many threads never mix")
  func threads() throws {
    let letters = Array("abcdefgh")
    let lines = try written { logger in
      DispatchQueue.concurrentPerform(iterations: letters.count) { index in
        for _ in 0..<50 { logger.info("\(String(repeating: letters[index], count: 9000))") }
      }
    }
    #expect(lines.count == 400)
    #expect(lines.allSatisfy { Set($0.dropFirst(30)).count == 1 })
  }

  @Test("a full pipe that does not block delays a line and never cuts it")
  func slowReader() throws {
    let pipe = Pipe()
    let end = pipe.fileHandleForWriting
    #expect(fcntl(end.fileDescriptor, F_SETFL, O_NONBLOCK) == 0)
    let message = String(repeating: "x", count: 1 << 20)
    let writer = Thread {
      let output = LogOutput(descriptor: end.fileDescriptor)
      let handler = LineLogHandler(label: "test", output: output, now: { 0 })
      Logger(label: "test") { _ in handler }.info("\(message)")
      try? end.close()
    }
    writer.start()
    let text = String(decoding: try pipe.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
    #expect(text == "1970-01-01T00:00:00.000Z info \(message)\n")
  }

  /// The lines that `body` makes a logger write.
  private func written(
    _ format: LogFormat = .text,
    isColoured: Bool = false,
    _ body: (Logger) -> Void
  ) throws -> [String] {
    try withTemporaryFile { file in
      let handler = LineLogHandler(
        label: "test",
        format: format,
        isColoured: isColoured,
        output: LogOutput(descriptor: file.fileDescriptor),
        now: { 1_767_323_045_678_901_234 }
      )
      body(Logger(label: "test") { _ in handler })
      try file.seek(toOffset: 0)
      let text = String(decoding: try file.readToEnd() ?? Data(), as: UTF8.self)
      return text.split(separator: "\n").map(String.init)
    }
  }

  private func withTemporaryFile<T>(_ body: (FileHandle) throws -> T) throws -> T {
    let url = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    #expect(FileManager.default.createFile(atPath: url.path, contents: nil))
    defer { #expect(throws: Never.self) { try FileManager.default.removeItem(at: url) } }
    let file = try FileHandle(forUpdating: url)
    defer { #expect(throws: Never.self) { try file.close() } }
    return try body(file)
  }
}
