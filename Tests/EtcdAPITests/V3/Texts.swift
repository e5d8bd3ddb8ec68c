import FoundationEssentials

extension String {
    /// The bytes of the text; `\0` stands for a zero byte.
    var data: Data { Data(utf8.elementsEqual("\\0".utf8) ? [0] : Array(utf8)) }
}
