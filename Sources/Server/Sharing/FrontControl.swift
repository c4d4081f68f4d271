import HTTP
import JSON

/// What the operator of this machine may do with a process of a shared bus: the handler of
/// `DATA/control.sock`. Each partition that the process owns has its own in `DATA/partition-N`.
struct FrontControl: RequestHandler {
  let front: Front

  func accept(_ head: RequestHead) -> Acceptance {
    let questions = OperatorQuestions { [front] in await front.answers }
    if let acceptance = questions.accept(head) { return acceptance }
    switch (head.method, head.path) {
    case ("GET", "/status"):
      return .read(bodyLimit: 0) { [figures = front.figures] _ in
        var members: [JSON.Member] = []
        for (partition, entry) in figures.all {
          let status = await entry.installation.status()
          members.append(JSON.Member(key: "\(partition)", value: status))
        }
        let status = JSON.object([.init(key: "partitions", value: .object(members))])
        return .json(200, status.encoded())
      }
    case ("POST", "/reload"):
      return .read(bodyLimit: 0) { _ in
        let reload = await front.reload()
        return .json(reload.isDone ? 200 : 422, reload.json.encoded())
      }
    default:
      let owned = front.figures.all.map { "\($0.partition)" }.joined(separator: ", ")
      let words =
        "the work of the bus is shared; there are GET /status, POST /reload, "
        + "\(OperatorQuestions.paths); partitions that this process owns: \(owned.isEmpty ? "none" : owned)"
      let answer = JSON.object([.init(key: "error", value: .string(words))])
      return .answer(.json(404, answer.encoded()))
    }
  }
}
