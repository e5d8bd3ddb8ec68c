import Testing

@testable import GRPC

struct StatusTests {
    /// The numbers are on the wire: statuscodes.md of the gRPC project.
    @Test(
        arguments: [
            (.ok, 0), (.cancelled, 1), (.unknown, 2), (.invalidArgument, 3), (.deadlineExceeded, 4), (.notFound, 5),
            (.alreadyExists, 6), (.permissionDenied, 7), (.resourceExhausted, 8), (.failedPrecondition, 9),
            (.aborted, 10), (.outOfRange, 11), (.unimplemented, 12), (.internalError, 13), (.unavailable, 14),
            (.dataLoss, 15), (.unauthenticated, 16),
        ] as [(GRPCStatusCode, Int)])
    func codes(code: GRPCStatusCode, number: Int) { #expect(code.rawValue == number) }
}
