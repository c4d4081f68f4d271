import JSON

/// The numbers of librdkafka's statistics that an operator looks for.
func kafkaStatistics(_ json: String) -> [(String, Double)] {
  guard let all = try? JSON(parsing: Array(json.utf8)) else { return [] }
  let names = ["replyq", "msg_cnt", "tx_bytes", "rx_bytes", "txmsgs", "rxmsgs"]
  return names.compactMap { name in
    guard case .number(let text)? = all[name], let value = Double(text) else { return nil }
    return (name, value)
  }
}
