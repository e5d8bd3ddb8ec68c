/// Where answers are made that take long: one after the other, away from the event loops, so that the other clients of
/// a connection's loop wait for none of them and no two are in memory before they are counted.
///
/// What waits here are requests, which their connections bound and count.
actor LongAnswers {
    /// From so many keys on an answer is taken to be long: a loop makes one of as many in about a millisecond.
    static let keys = 1000

    func make<Answer: Sendable, Failure: Error>(
        _ body: @Sendable () throws(Failure) -> Answer
    ) throws(Failure) -> Answer {
        try body()
    }
}
