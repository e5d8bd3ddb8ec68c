import Testing
@Test func d() {}
