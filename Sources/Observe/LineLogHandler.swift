package import Logging

/// Writes the program's log one line an entry, as text or JSON, through a `LogOutput`.
///
/// Keys are in alphabetical order and control characters are escaped, so what a sender chose can
/// neither start a line of its own nor drive a terminal.
package struct LineLogHandler: LogHandler {
  package var logLevel: Logger.Level
  package var metadata: Logger.Metadata = [:]
  package var metadataProvider: Logger.MetadataProvider?

  private let label: String
  private let format: LogFormat
  private let isColoured: Bool
  private let output: LogOutput
  private let now: @Sendable () -> Int64

  /// - Parameters:
  ///   - isColoured: whether the level of a text line is coloured; for terminals.
  ///   - now: nanoseconds since 1970 by the wall clock.
  package init(
    label: String,
    level: Logger.Level = .info,
    format: LogFormat = .text,
    isColoured: Bool = false,
    output: LogOutput,
    now: @escaping @Sendable () -> Int64
  ) {
    self.label = label
    self.logLevel = level
    self.format = format
    self.isColoured = isColoured
    self.output = output
    self.now = now
  }

  package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  package func log(event: LogEvent) {
    var fields = metadata
    if let provided = metadataProvider?.get() { fields.merge(provided) { $1 } }
    if let given = event.metadata { fields.merge(given) { $1 } }
    if let error = event.error { fields["error"] = "\(error)" }
    let line = LogLine(
      time: now(),
      level: event.level,
      label: label,
      message: "\(event.message)",
      fields: fields.sorted { $0.key < $1.key }
    )
    switch format {
    case .text: output.write(line.text(isColoured: isColoured))
    case .json: output.write(line.json)
    }
  }
}

/// How log lines are written (`--log-format`).
package enum LogFormat: String, Sendable, CaseIterable {
  case text
  case json
}
