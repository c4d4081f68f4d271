package import Event
package import JSON

extension Event {
  /// The context as sensors see it, all keys always present (spec section 1.2).
  package var context: JSON {
    [
      "id": .string(id), "source": .string(source), "specversion": "1.0",
      "type": .string(type), "datacontenttype": .string(dataContentType),
      "subject": .string(subject), "time": .string(time.wholeSeconds),
    ]
  }

  /// The whole event as a parameter without a selector gives it: context, and data in base64.
  package var envelope: String {
    let object: JSON = [
      "context": context,
      "data": .string(String(decoding: Base64.encode(data[...]), as: UTF8.self)),
    ]
    return String(decoding: object.encoded(), as: UTF8.self)
  }
}
