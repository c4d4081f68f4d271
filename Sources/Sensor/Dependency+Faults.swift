package import Event
package import Expression

extension Dependency {
  /// Why an event of its key does not pass; empty: it does.
  package func faults(_ event: Event) -> [FilterFault] {
    var event = event
    if let transform {
      do throws(TransformError) { event = try transform.applied(to: event) } catch {
        return [
          FilterFault(clause: "transform", wanted: "an object", found: "\(error)", isError: true)
        ]
      }
    }
    let data = event.data.isEmpty ? FilterData.absent : FilterData(event.data)
    return filters?.faults(FilterSubject(event, data)) ?? []
  }
}
