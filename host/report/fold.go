package report

import (
	"slices"
	"strconv"
	"strings"
)

// fold writes tensor names that differ in one number as one: model.layers.{0-2,5}.mlp.up_proj.weight. Nothing is lost by it. Names keep
// the order in which they come, numbers ascend, and a name that comes twice is written once.
func fold(names []string) []string {
	type family struct {
		before, after string
		numbers       []int
	}
	var order []string
	families := map[string]*family{}
	for _, name := range names {
		before, number, after := splitNumber(name)
		key := before + "\x00" + after
		if number < 0 {
			key = name
		}
		if families[key] == nil {
			families[key] = &family{before: before, after: after}
			order = append(order, key)
		}
		if number >= 0 {
			families[key].numbers = append(families[key].numbers, number)
		}
	}
	folded := make([]string, len(order))
	for i, key := range order {
		f := families[key]
		slices.Sort(f.numbers)
		f.numbers = slices.Compact(f.numbers)
		switch len(f.numbers) {
		case 0:
			folded[i] = key
		case 1:
			folded[i] = f.before + strconv.Itoa(f.numbers[0]) + f.after
		default:
			folded[i] = f.before + "{" + runs(f.numbers) + "}" + f.after
		}
	}
	return folded
}

// splitNumber cuts a name around its first part that is a number as numbers are written; number is -1 where there is none.
func splitNumber(name string) (before string, number int, after string) {
	start := 0
	for part := range strings.SplitSeq(name, ".") {
		if n, err := strconv.Atoi(part); err == nil && n >= 0 && strconv.Itoa(n) == part {
			return name[:start], n, name[start+len(part):]
		}
		start += len(part) + 1
	}
	return name, -1, ""
}

// runs writes ascending numbers: 0-2,5.
func runs(numbers []int) string {
	var parts []string
	for i := 0; i < len(numbers); {
		last := i
		for last+1 < len(numbers) && numbers[last+1] == numbers[last]+1 {
			last++
		}
		part := strconv.Itoa(numbers[i])
		switch {
		case last == i+1:
			part += "," + strconv.Itoa(numbers[last])
		case last > i:
			part += "-" + strconv.Itoa(numbers[last])
		}
		parts = append(parts, part)
		i = last + 1
	}
	return strings.Join(parts, ",")
}
