/// `@pretty`: one member or element a line, arrays that fit kept on one line. Text that is no JSON
/// comes out as far as it can be read.
struct PrettyPrinter {
  struct Options: Sendable {
    var width = 80
    var prefix: [UInt8] = []
    var indent: [UInt8] = [0x20, 0x20]
    var sortsKeys = false

    /// From a modifier's argument, an object; other members are passed over.
    init(_ argument: ArraySlice<UInt8>) {
      argument.firstValue.eachItem { key, value in
        let value = JSONValue(raw: value)
        switch key.isEmpty ? "" : JSONValue(raw: key).string {
        case "sortKeys": sortsKeys = value.bool
        case "indent": indent = Array(value.stringBytes.filter(isSpace))
        case "prefix": prefix = Array(value.stringBytes.filter(isSpace))
        case "width":
          let number = value.double
          width = number.isNaN ? 0 : Int(max(-1e9, min(1e9, number)))
        default: break
        }
      }
    }
  }

  private let json: ArraySlice<UInt8>
  private let options: Options
  private let bytesMax: Int
  private var at: Int
  private var out: [UInt8] = []
  /// Where the current line begins.
  private var lineStart = 0
  private var depth = 0
  private var isTooLarge = false

  /// - Returns: nothing for what is nested too deep or would come out longer than `bytesMax`.
  static func print(
    _ json: ArraySlice<UInt8>,
    _ options: Options,
    _ bytesMax: Int
  ) -> ArraySlice<UInt8> {
    var printer = PrettyPrinter(json: json, options: options, bytesMax: bytesMax)
    printer.out += options.prefix
    _ = printer.value(Layout(tabs: 0, isLoose: true, room: nil))
    if printer.isTooLarge { return [] }
    if !printer.out.isEmpty { printer.out.append(0x0a) }
    return printer.out[...]
  }

  private init(json: ArraySlice<UInt8>, options: Options, bytesMax: Int) {
    self.json = json
    self.options = options
    self.bytesMax = bytesMax
    at = json.startIndex
  }

  private mutating func checkSize() {
    if out.count > bytesMax || depth > JSONLimits().depth { isTooLarge = true }
  }

  private struct Layout {
    var tabs: Int
    /// One item a line.
    var isLoose: Bool
    /// An array is tried on one line of that many bytes; an object is refused there.
    var room: Int?
  }

  /// - Returns: whether it could stand on one line.
  private mutating func value(_ layout: Layout) -> Bool {
    while at < json.endIndex {
      let byte = json[at]
      switch byte {
      case 0x22:
        string()
        return true
      case 0x7b, 0x5b: return container(byte, layout)
      case 0x74: return word("true")
      case 0x66: return word("false")
      case 0x6e where json.valueStart(at) == .literal: return word("null")
      case 0x30...0x39, 0x2d, 0x2b, 0x69, 0x49, 0x4e, 0x6e:
        let start = at
        at += 1
        while at < json.endIndex, json[at] > 0x20, !",:]}".utf8.contains(json[at]) { at += 1 }
        out += json[start..<at]
        return true
      default: at += 1
      }
    }
    return true
  }

  private mutating func word(_ text: String) -> Bool {
    out += text.utf8
    at += text.utf8.count
    return true
  }

  private mutating func string() {
    let end = json.stringEnd(at + 1) ?? json.endIndex
    out += json[at..<end]
    at = end
  }

  private mutating func container(_ open: UInt8, _ layout: Layout) -> Bool {
    if options.width > 0 {
      if open == 0x5b, layout.isLoose, layout.room == nil {
        if fitsOnOneLine() { return true }
      } else if layout.room != nil, open == 0x7b {
        return false
      }
    }
    depth += 1
    defer { depth -= 1 }
    let close: UInt8 = open == 0x5b ? 0x5d : 0x7d
    out.append(open)
    at += 1
    var count = 0
    var members: [Range<Int>] = []
    while at < json.endIndex {
      checkSize()
      if isTooLarge { return false }
      let byte = json[at]
      if byte <= 0x20 || (byte != close && open == 0x7b && byte != 0x22) {
        at += 1
        continue
      }
      if byte == close {
        at += 1
        if layout.isLoose { endLoosely(count, layout, open, members) }
        out.append(close)
        return open == 0x5b
      }
      if count > 0 {
        out.append(0x2c)
        if options.width != -1, open == 0x5b { out.append(0x20) }
      }
      count += 1
      if layout.isLoose { newLine() }
      let start = out.count
      if !item(open, layout), layout.room != nil || isTooLarge { return false }
      members.append(start..<out.count)
    }
    return open == 0x5b
  }

  private mutating func item(_ open: UInt8, _ layout: Layout) -> Bool {
    var layout = layout
    layout.tabs += 1
    if layout.isLoose { indent(layout.tabs) }
    if open == 0x7b {
      string()
      out.append(0x3a)
      if layout.isLoose { out.append(0x20) }
    }
    return value(layout)
  }

  private mutating func endLoosely(
    _ count: Int,
    _ layout: Layout,
    _ open: UInt8,
    _ members: [Range<Int>]
  ) {
    if open == 0x7b, options.sortsKeys { sort(members) }
    if count > 0 {
      newLine()
      indent(layout.tabs)
    }
  }

  /// Tries an array on the rest of the line; undone where it does not fit.
  private mutating func fitsOnOneLine() -> Bool {
    let room = options.width - (out.count - lineStart)
    guard room > 3 else { return false }
    let (start, mark, line) = (at, out.count, lineStart)
    let fits = container(0x5b, Layout(tabs: 0, isLoose: false, room: room))
    lineStart = line
    if fits, out.count - mark <= room { return true }
    out.removeSubrange(mark...)
    at = start
    return false
  }

  private mutating func newLine() {
    lineStart = out.count
    if out.last == 0x20 {
      out[lineStart - 1] = 0x0a
    } else {
      out.append(0x0a)
    }
  }

  private mutating func indent(_ tabs: Int) {
    out += options.prefix
    for _ in 0..<tabs { out += options.indent }
  }

  /// By key, then by value.
  private mutating func sort(_ members: [Range<Int>]) {
    guard let first = members.first, let last = members.last else { return }
    let texts = members.map { out[$0] }
    let keys = texts.map { text -> [UInt8] in
      let trimmed = text.trimmed
      return Array(JSONValue(raw: trimmed.isEmpty ? [0x22] : trimmed).content)
    }
    let order = texts.indices.sorted { a, b in
      if keys[a] != keys[b] { return keys[a].lexicographicallyPrecedes(keys[b]) }
      if texts[a] != texts[b] { return texts[a].lexicographicallyPrecedes(texts[b]) }
      return a < b
    }
    let sorted = Array(order.map { texts[$0] }.joined(separator: [0x2c, 0x0a]))
    out.replaceSubrange(first.lowerBound..<last.upperBound, with: sorted)
  }
}
