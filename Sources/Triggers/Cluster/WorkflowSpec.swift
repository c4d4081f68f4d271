import Cluster
package import Manifest

/// The fields of an `argoWorkflow` trigger (spec section 4.4), and ours below `signalbox`.
package struct WorkflowSpec: ManifestBlock, Sendable {
  enum Operation: String, Sendable, CaseIterable {
    case submit, resubmit, retry, resume, suspend, stop, terminate
    case submitFrom = "submit-from"

    /// Whether it makes a new run.
    var makesRun: Bool { self == .submit || self == .submitFrom || self == .resubmit }

    /// Whether a run goes on from it whose end can be told.
    var startsRun: Bool { makesRun || self == .retry }
  }

  let operation: Operation
  let source: ObjectSource?
  let arguments: WorkflowArguments
  let isFollowed: Bool
  /// How long a run is followed at the most; nil: for ever.
  let timeout: Duration?
  /// argo-server, for what only it can do; nil: nothing of that.
  let server: ArgoServerSpec?
  let labels: LabelPolicy?

  package init(from block: Block) {
    let word = block.string("operation") ?? ""
    let operation = word.isEmpty ? .submit : Operation(rawValue: word)
    if operation == nil {
      let known = Operation.allCases.map(\.rawValue).joined(separator: ", ")
      block.error("operation", "found '\(word)', expected one of \(known)")
    }
    self.operation = operation ?? .submit
    source = ObjectSource(from: block)
    arguments = WorkflowArguments(block.strings("args") ?? [], block)
    let own = block.block("signalbox")
    let follow = own?.bool("follow")
    timeout = own?.duration("timeout")
    server = own?.block("server").map { ArgoServerSpec(from: $0) }
    own?.finish()
    if operation == .retry, server == nil {
      block.error("signalbox", "found no server, which retry needs: only argo-server can do it")
    }
    labels = LabelPolicy(from: block)
    isFollowed = follow ?? self.operation.startsRun
    if follow == true && !self.operation.startsRun {
      block.error("signalbox", "found follow: true, but \(self.operation.rawValue) starts no run")
    }
    block.accept("parameters", "payload")
    block.finish()
  }
}

/// The `args` of the argo command line that say something about a run.
struct WorkflowArguments: Sendable {
  private(set) var parameters: [(name: String, value: String)] = []
  private(set) var labels: [(name: String, value: String)] = []
  private(set) var annotations: [(name: String, value: String)] = []
  private(set) var entrypoint: String?
  private(set) var serviceAccount: String?
  private(set) var priority: Int?
  private(set) var name: String?
  private(set) var generateName: String?

  init(_ words: [String], _ block: Block) {
    var rest = words.enumerated().flatMap { index, word -> [(index: Int, word: String)] in
      // `--name=value` is two words.
      guard word.hasPrefix("--"), let sign = word.firstIndex(of: "=") else {
        return [(index, word)]
      }
      return [(index, String(word[..<sign])), (index, String(word[word.index(after: sign)...]))]
    }[...]
    while let (index, option) = rest.popFirst() {
      guard let (_, value) = rest.popFirst() else {
        block.error("args[\(index)]", "found '\(option)' without its value")
        return
      }
      switch option {
      case "-p", "--parameter":
        if let pair = Self.pair(value) {
          parameters.append(pair)
        } else {
          block.error("args[\(index)]", "found '\(value)', expected NAME=VALUE")
        }
      case "-l", "--labels": labels += Self.pairs(value)
      case "--annotation", "--annotations": annotations += Self.pairs(value)
      case "--entrypoint": entrypoint = value
      case "--serviceaccount": serviceAccount = value
      case "--priority": priority = Int(value)
      case "--name": name = value
      case "--generate-name": generateName = value
      default:
        block.error(
          "args[\(index)]",
          "is not supported yet: found '\(option)', expected -p, --labels, --annotation, --entrypoint, "
            + "--serviceaccount, --priority, --name or --generate-name: no program is run"
        )
      }
    }
  }

  /// Split at the first `=` (spec section B.3).
  private static func pair(_ text: String) -> (name: String, value: String)? {
    guard let sign = text.firstIndex(of: "="), sign != text.startIndex else { return nil }
    return (String(text[..<sign]), String(text[text.index(after: sign)...]))
  }

  private static func pairs(_ text: String) -> [(name: String, value: String)] {
    text.split(separator: ",").compactMap { pair(String($0)) }
  }
}
