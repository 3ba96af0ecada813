// Package hostile holds what may be sent in as a module to do harm, as fixtures with what each must come to, and the fuzzing of everything
// that stands between such a module and the machine. It has tests only.
//
// testdata/expect.json is the table: a row names the promise it belongs to, a fixture, and how a run of it must end. A fixture is a text,
// NAME.wat, committed with the binary that wat2wasm makes of it, whose first line may give wat2wasm flags; or bytes that no text can say,
// NAME.hex; or a function in made_test.go where it is too large to lie about. A promise that is not about modules is a row that names the
// test which holds it.
package hostile
