import CLinux
import Bus
import Event

// The format of the embedded log, version 1. All numbers are little-endian.
//
// A log is a folder of segments named `<first offset, 20 digits>.log`, and a file `lock`.
//
//     segment   header, then records one after the other
//     header    magic "SBXLOG" (6 bytes), version (2), first offset (8), CRC-32C of these 16 (4)
//     record    length (4): bytes after the CRC
//               CRC-32C (4) of those bytes
//               offset (8): one more than that of the record before
//               log time (8): nanoseconds since 1970, never less than that of the record before
//               kind (1): 1 event, 2 note
//               payload: for an event `Event.encoded()`; for a note its kind (1) and its bytes
//
// 1. A record counts only if its CRC holds and its offset is larger than the last one's.
// 2. Bytes that are no record, with no record behind them in the last segment, are a torn tail:
//    a crash before the sync that would have acknowledged them. They are cut.
// 3. Bytes that are no record with a record behind them are damage: skipped, reported with their
//    range, never overwritten.
// 4. A reader refuses a version it does not know.
enum Format {
  static let magic = Array("SBXLOG".utf8)
  static let version: UInt16 = 1
  static let headerBytes = 20
  static let recordHeaderBytes = 8
  /// Offset, time and kind: no record's length is less.
  static let smallestLength = 17
  static let largestLength = Event.Limits.dataBytes + (1 << 20)
  static let suffix = ".log"

  static func name(firstOffset: UInt64) -> String {
    let digits = String(firstOffset)
    return String(repeating: "0", count: 20 - digits.count) + digits + suffix
  }

  static func firstOffset(ofName name: String) -> UInt64? {
    guard name.hasSuffix(suffix), name.utf8.count == 20 + suffix.utf8.count else { return nil }
    return UInt64(name.dropLast(suffix.count))
  }

  static func header(firstOffset: UInt64) -> [UInt8] {
    var bytes = magic
    put(version, in: &bytes)
    put(firstOffset, in: &bytes)
    put(checksum(bytes[...]), in: &bytes)
    return bytes
  }

  /// Appends one record to a batch.
  static func appendRecord(
    _ draft: Draft,
    offset: UInt64,
    time: Int64,
    to out: inout [UInt8]
  ) {
    let start = out.count
    out += [0, 0, 0, 0, 0, 0, 0, 0]
    put(offset, in: &out)
    put(UInt64(bitPattern: time), in: &out)
    switch draft {
    case .event(let event):
      out.append(1)
      out += event.encoded()
    case .note(let note):
      out.append(2)
      out.append(note.kind)
      out += note.bytes
    }
    let body = start + recordHeaderBytes
    let length = UInt32(out.count - body)
    let sum = checksum(out[body...])
    for byte in 0..<4 {
      out[start + byte] = UInt8(truncatingIfNeeded: length >> (8 * UInt32(byte)))
      out[start + 4 + byte] = UInt8(truncatingIfNeeded: sum >> (8 * UInt32(byte)))
    }
  }

  /// A record whose length and checksum hold, without its payload decoded.
  struct Frame {
    let offset: UInt64
    let time: Int64
    let kind: UInt8
    let payload: Range<Int>
    /// The first byte behind it.
    let end: Int
  }

  /// The record that begins at `start`; nil when there is none or it is not whole.
  static func frame(_ bytes: [UInt8], at start: Int) -> Frame? {
    guard bytes.count - start >= recordHeaderBytes + smallestLength else { return nil }
    let length = Int(number(bytes, start, 4))
    let body = start + recordHeaderBytes
    guard (smallestLength...largestLength).contains(length), bytes.count - body >= length,
      checksum(bytes[body..<body + length]) == UInt32(number(bytes, start + 4, 4))
    else { return nil }
    return Frame(
      offset: number(bytes, body, 8),
      time: Int64(bitPattern: number(bytes, body + 8, 8)),
      kind: bytes[body + 16],
      payload: body + smallestLength..<body + length,
      end: body + length
    )
  }

  /// The record a frame holds.
  /// - Throws: `LogError.newerVersion` for a kind or event version this program does not know.
  static func record(_ frame: Frame, in bytes: [UInt8]) throws(LogError) -> Record {
    let content: Draft
    switch frame.kind {
    case 1:
      do throws(Event.EncodingError) {
        content = .event(try Event(encoded: bytes[frame.payload]))
      } catch { throw .newerVersion("the event at offset \(frame.offset): \(error)") }
    case 2:
      guard let kind = bytes[frame.payload].first else {
        throw .newerVersion("the note at offset \(frame.offset) is empty")
      }
      content = .note(Note(kind: kind, bytes: Array(bytes[frame.payload].dropFirst())))
    default: throw .newerVersion("record kind \(frame.kind) at offset \(frame.offset)")
    }
    return Record(
      position: Position(offset: frame.offset),
      time: Timestamp(nanoseconds: frame.time),
      content: content
    )
  }

  static func number(_ bytes: [UInt8], _ start: Int, _ count: Int) -> UInt64 {
    var number: UInt64 = 0
    for index in (0..<count).reversed() { number = number << 8 | UInt64(bytes[start + index]) }
    return number
  }

  static func put<I: FixedWidthInteger>(_ number: I, in out: inout [UInt8]) {
    for byte in 0..<I.bitWidth / 8 { out.append(UInt8(truncatingIfNeeded: number >> (8 * byte))) }
  }

  static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt32 {
    unsafe bytes.withUnsafeBytes { unsafe clinux_crc32c(0, $0.baseAddress, $0.count) }
  }
}

/// Why a log cannot be opened.
package enum LogError: Error, Equatable, CustomStringConvertible {
  /// Another process writes to it.
  case locked(folder: String, holder: String)
  /// A newer version of the program wrote something.
  case newerVersion(String)
  /// A system call failed.
  case system(String)

  package var description: String {
    switch self {
    case .locked(let folder, let holder):
      "the data folder \(folder) is in use by process \(holder); one process at a time writes to it"
    case .newerVersion(let what): "written by a newer version of signalbox: \(what)"
    case .system(let what): what
    }
  }
}
