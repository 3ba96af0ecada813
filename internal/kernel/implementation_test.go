package kernel

import "testing"

// eachImplementation runs the test with every implementation this processor can run. Tests that use it must not be parallel.
func eachImplementation(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	for _, i := range append(implementations[:len(implementations):len(implementations)], generic) {
		t.Run(i.name, func(t *testing.T) {
			if !i.usable {
				t.Skipf("this processor cannot run %s", i.name)
			}
			before := active
			active = i
			defer func() { active = before }()
			test(t)
		})
	}
}

func TestChoose(t *testing.T) {
	for _, i := range append(implementations[:len(implementations):len(implementations)], generic) {
		t.Run(i.name, func(t *testing.T) {
			defer func() {
				if refused := recover() != nil; refused == i.usable {
					t.Errorf("usable %v, refused %v", i.usable, refused)
				}
			}()
			if got := choose(i.name); got != i {
				t.Errorf("got %s", got.name)
			}
		})
	}
	t.Run("unknown", func(t *testing.T) {
		defer func() {
			if recover() == nil {
				t.Error("an unknown name was taken")
			}
		}()
		choose("mmx")
	})
}
