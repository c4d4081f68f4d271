/// The subscriptions behind one key of an index, by their numbers. Most keys have one.
enum Posting: Sendable {
  case one(Int32)
  case many([Int32])

  var count: Int {
    switch self {
    case .one: 1
    case .many(let numbers): numbers.count
    }
  }

  func append(to candidates: inout [Int32]) {
    switch self {
    case .one(let number): candidates.append(number)
    case .many(let numbers): candidates += numbers
    }
  }
}

extension Dictionary where Value == Posting {
  mutating func add(_ number: Int32, to key: Key) {
    switch self[key] {
    case nil: self[key] = .one(number)
    case .one(let other)?: self[key] = .many([other, number])
    case .many(var numbers)?:
      // The list must have one owner, or each addition copies it.
      self[key] = .one(number)
      numbers.append(number)
      self[key] = .many(numbers)
    }
  }

  mutating func remove(_ number: Int32, from key: Key) {
    switch self[key] {
    case .one(number)?: self[key] = nil
    case .many(var numbers)?:
      self[key] = .one(number)
      if let place = numbers.firstIndex(of: number) { numbers.remove(at: place) }
      self[key] = numbers.count == 1 ? .one(numbers[0]) : .many(numbers)
    case nil, .one?: break
    }
  }
}

extension [Int32] {
  /// Where a number stands, or would, in an ascending list.
  private func place(of number: Int32) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if self[middle] < number { low = middle + 1 } else { high = middle }
    }
    return low
  }

  mutating func insertAscending(_ number: Int32) { insert(number, at: place(of: number)) }

  mutating func removeAscending(_ number: Int32) {
    let at = place(of: number)
    if at < count, self[at] == number { remove(at: at) }
  }
}
