import Bus
import CLinux
import Event
import Posix

// The format of the embedded log, version 1. All numbers are little-endian.
//
// A log is a folder of segments named `<first offset, 20 digits>.log`, their indexes
// `<first offset>.idx` (SegmentIndex.swift), the index of identities `identities` (IdentityTable.
// swift), a file `lock`, and a file `replica` where the log is not in the folder alone (FolderRole.
// swift). The segments are the truth; everything else can be made from them.
//
//     segment   header, then records one after the other
//     header    twice, at 0 and at 32, zeros up to 64:
//               magic "SBXLOG" (6), version (2), first offset (8), seed (4), flags (4),
//               CRC-32C of these (4). Flag 1: kept, only what was still needed is left; also of a
//               copy of such records.
//     record    length (4) of the body
//               offset (8): larger than that of the record before; one more unless kept or damaged
//               head CRC (4): CRC-32C of these 12 bytes, continued from the seed
//               body CRC (4): CRC-32C of the body, continued from the head CRC
//               body: log time (8), nanoseconds since 1970, never less than that of the record
//               before; kind (1): 1 event, 2 note; payload: for an event `Event.encoded()`, for a
//               note its kind (1) and its bytes
//
// 1. A record counts only if both CRCs hold, its offset is larger than the last one's and less
//    than the first offset of the next segment. (A segment whose sync failed is left behind with
//    what nobody acknowledged at its end; the next one begins at the same offset.)
// 2. Bytes that are no record, with no record behind them in the last segment, are a torn tail:
//    a crash before the sync that would have acknowledged them. They are cut, and so are zeros
//    behind them, which were written ahead.
// 3. Other bytes that are no record are damage: skipped, reported with their range, never
//    overwritten.
// 4. The seed is random and the same in all segments of a log. Who does not know it cannot put
//    bytes into an event that pass for a record where a damaged area is searched for the next one.
// 5. A reader refuses a version it does not know.
enum Format {
  static let magic = Array("SBXLOG".utf8)
  static let version: UInt16 = 1
  static let headerCopyBytes = 28
  static let headerSpacing = 32
  static let headerBytes = 64
  static let headBytes = 20
  /// Time and kind: no body is shorter.
  static let smallestBody = 9
  static let largestBody = Event.Limits.dataBytes + (1 << 20)
  static let suffix = ".log"
  static let indexSuffix = ".idx"
  /// A file that is being made; left by a crash, it is removed.
  static let unfinishedSuffix = ".new"
  static let keptFlag: UInt32 = 1

  static func name(firstOffset: UInt64) -> String {
    let digits = String(firstOffset)
    return String(repeating: "0", count: 20 - digits.count) + digits + suffix
  }

  static func indexName(_ segment: String) -> String {
    String(segment.dropLast(suffix.count)) + indexSuffix
  }

  static func firstOffset(ofName name: String) -> UInt64? {
    guard name.hasSuffix(suffix), name.utf8.count == 20 + suffix.utf8.count else { return nil }
    return UInt64(name.dropLast(suffix.count))
  }

  struct Header: Equatable {
    let firstOffset: UInt64
    let seed: UInt32
    var isKept = false
  }

  static func encode(_ header: Header) -> [UInt8] {
    var copy = magic
    put(version, in: &copy)
    put(header.firstOffset, in: &copy)
    put(header.seed, in: &copy)
    put(header.isKept ? keptFlag : 0, in: &copy)
    put(checksum(copy[...]), in: &copy)
    copy += [UInt8](repeating: 0, count: headerSpacing - copy.count)
    return copy + copy
  }

  /// The header in either of its copies; nil when neither holds.
  /// - Throws: `LogError.newerVersion`.
  static func header(_ bytes: [UInt8], _ name: String) throws(LogError) -> Header? {
    for start in [0, headerSpacing] where bytes.count >= start + headerCopyBytes {
      let copy = bytes[start..<start + headerCopyBytes]
      guard copy.starts(with: magic),
        checksum(copy.dropLast(4)) == UInt32(number(bytes, start + 24, 4))
      else { continue }
      let version = number(bytes, start + 6, 2)
      guard version == Format.version else {
        throw .newerVersion("\(name) has format \(version), this program knows \(Format.version)")
      }
      return Header(
        firstOffset: number(bytes, start + 8, 8),
        seed: UInt32(number(bytes, start + 16, 4)),
        isKept: number(bytes, start + 20, 4) & UInt64(keptFlag) != 0
      )
    }
    return nil
  }

  /// Appends one record to a batch.
  static func appendRecord(
    _ draft: Draft,
    offset: UInt64,
    time: Int64,
    seed: UInt32,
    to out: inout [UInt8]
  ) {
    let start = out.count
    put(UInt32(0), in: &out)
    put(offset, in: &out)
    put(UInt64(0), in: &out)
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
    let body = start + headBytes
    set(UInt32(out.count - body), at: start, in: &out)
    let head = checksum(out[start..<start + 12], from: seed)
    set(head, at: start + 12, in: &out)
    set(checksum(out[body...], from: head), at: start + 16, in: &out)
  }

  /// A record whose checksums hold, its payload not decoded.
  struct Frame {
    let offset: UInt64
    let time: Int64
    let kind: UInt8
    /// Within the bytes it was found in.
    let payload: Range<Int>
    /// All of it, head included, in bytes.
    let length: Int
  }

  /// The length and offset that the head at `start` claims; nil when it is none.
  static func head(_ bytes: [UInt8], at start: Int, seed: UInt32) -> (body: Int, offset: UInt64)? {
    guard bytes.count - start >= headBytes else { return nil }
    let length = Int(number(bytes, start, 4))
    guard (smallestBody...largestBody).contains(length),
      checksum(bytes[start..<start + 12], from: seed) == UInt32(number(bytes, start + 12, 4))
    else { return nil }
    return (length, number(bytes, start + 4, 8))
  }

  /// The record that begins at `start`; nil when there is none or it is not whole.
  static func frame(_ bytes: [UInt8], at start: Int, seed: UInt32) -> Frame? {
    guard let head = head(bytes, at: start, seed: seed) else { return nil }
    let body = start + headBytes
    guard bytes.count - body >= head.body else { return nil }
    let sum = checksum(bytes[body..<body + head.body], from: UInt32(number(bytes, start + 12, 4)))
    guard sum == UInt32(number(bytes, start + 16, 4)) else { return nil }
    return Frame(
      offset: head.offset,
      time: Int64(bitPattern: number(bytes, body, 8)),
      kind: bytes[body + 8],
      payload: body + smallestBody..<body + head.body,
      length: headBytes + head.body
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

  private static func set(_ number: UInt32, at start: Int, in out: inout [UInt8]) {
    for byte in 0..<4 { out[start + byte] = UInt8(truncatingIfNeeded: number >> (8 * byte)) }
  }

  static func checksum(_ bytes: ArraySlice<UInt8>, from seed: UInt32 = 0) -> UInt32 {
    unsafe bytes.withUnsafeBytes { unsafe clinux_crc32c(seed, $0.baseAddress, $0.count) }
  }
}

/// Why a log cannot be opened.
package enum LogError: Error, Equatable, CustomStringConvertible {
  /// Another process writes to it.
  case locked(folder: String, holder: String)
  /// A newer version of the program wrote something.
  case newerVersion(String)
  /// A file that nothing can be read from, and that is not ours to overwrite.
  case unreadable(String)
  /// A system call failed.
  case system(String)

  package var description: String {
    switch self {
    case .locked(let folder, let holder):
      "the data folder \(folder) is in use by process \(holder); one process at a time writes to it"
    case .newerVersion(let what): "written by a newer version of signalbox: \(what)"
    case .unreadable(let what): what
    case .system(let what): what
    }
  }

  init(_ error: SystemError, _ name: String) { self = .system("\(name): \(error)") }
}
