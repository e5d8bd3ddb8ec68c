import GRPC
import NIOCore
import RegistryStore

extension V3Context {
    /// A method that may write: it is answered when what it wrote is kept.
    func kept(
        _ body: @escaping @Sendable (ByteBuffer, GRPCCall) throws(GRPCStatus) -> ByteBuffer
    ) -> GRPCMethod {
        guard keyspace.durability != nil else { return .immediate(body) }
        return .immediateOrLater { buffer, call throws(GRPCStatus) in
            try self.kept { () throws(GRPCStatus) in try body(buffer, call) }
        }
    }

    /// An answer that may write, once that is kept.
    func kept(
        _ body: @escaping @Sendable () throws(GRPCStatus) -> ByteBuffer
    ) throws(GRPCStatus) -> GRPCAnswer {
        guard let durability = keyspace.durability else { return .now(try body()) }
        let run = { @Sendable () -> Result<ByteBuffer, GRPCStatus> in
            do throws(GRPCStatus) { return .success(try body()) } catch { return .failure(error) }
        }
        let outcome = durability.run(run) { answer in
            if case .failure = answer { true } else { false }
        }
        switch outcome {
        case .done(let answer): return .now(try answer.get())
        case .pending(let rest):
            return .later { () throws(GRPCStatus) in
                let answer: Result<ByteBuffer, GRPCStatus>
                do throws(RegistryError) {
                    answer = try await rest()
                } catch {
                    throw GRPCStatus(error)
                }
                return try answer.get()
            }
        }
    }

    /// Waits until everything that was written is kept.
    func settle() async throws(GRPCStatus) {
        do throws(RegistryError) {
            try await keyspace.durability?.settle()
        } catch {
            throw GRPCStatus(error)
        }
    }
}
