/// A part of a template.
indirect enum TemplateNode: Sendable {
  case text([UInt8])
  case action(TemplatePipeline)
  case branch(TemplateBranch)
  /// The template of that name; nil gives it nothing.
  case call(ByteString, TemplatePipeline?, offset: Int)
  case breakLoop
  case continueLoop
}

/// `if`, `with` and `range`.
struct TemplateBranch: Sendable {
  enum Kind: String, Sendable { case `if`, with, range }

  let kind: Kind
  let pipeline: TemplatePipeline
  let body: [TemplateNode]
  let otherwise: [TemplateNode]
}

/// Commands, each of which gets the value of the one before as its last argument.
struct TemplatePipeline: Sendable {
  let offset: Int
  /// `=` instead of `:=`.
  let isAssignment: Bool
  let variables: [ByteString]
  let commands: [TemplateCommand]
}

struct TemplateCommand: Sendable {
  let offset: Int
  /// The first decides what the others are for.
  let operands: [TemplateOperand]
}

/// A value, or where one comes from.
struct TemplateOperand: Sendable {
  indirect enum Kind: Sendable {
    case dot
    case null
    case bool(Bool)
    case number(TemplateNumber)
    case string(ByteString)
    /// Members of the dot.
    case field([ByteString])
    /// A variable and members of it.
    case variable(ByteString, [ByteString])
    case function(TemplateFunction)
    case pipeline(TemplatePipeline)
    /// Members of any other operand.
    case chain(TemplateOperand, [ByteString])
  }

  let kind: Kind
  let offset: Int
}
