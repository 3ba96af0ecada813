package adapter

import (
	"math"
	"strconv"

	"github.com/tenon-ml/tenon/host/fault"
)

// fields reads the members of a configuration by name and type, and collects what is wrong. Null stands for a field's default, as in
// PEFT, except where a reader says otherwise.
type fields struct {
	file     string
	members  []member
	byName   map[string]int
	taken    map[string]bool
	problems fault.List // the first maxFaults
	notes    fault.List // the first maxFaults
	refused  int        // problems in all
	noted    int        // notes in all
	programs int        // instructions of the patterns so far, about
}

// maxFaults is how many problems, and notes, of one configuration are listed.
const maxFaults = 100

func newFields(file string, members []member) *fields {
	f := &fields{file: file, members: members, byName: make(map[string]int, len(members)), taken: make(map[string]bool)}
	for i, m := range members {
		f.byName[m.name] = i
	}
	return f
}

func (f *fields) refuse(e *fault.Error) {
	if f.refused++; f.refused <= maxFaults {
		f.problems.Add(e)
	}
}

func (f *fields) note(e *fault.Error) {
	if f.noted++; f.noted <= maxFaults {
		f.notes.Add(e)
	}
}

// bounded ends a list that was cut with the number of what is not in it.
func bounded(list fault.List, all int) fault.List {
	if rest := all - len(list); rest > 0 {
		last := list[len(list)-1]
		list.Add(fault.New(last.Code, "there are %d more faults like these", rest).In(last.File).Fix("correct these first"))
	}
	return list
}

// at gives a fault the place of a member.
func (f *fields) at(e *fault.Error, m member) *fault.Error {
	return e.In(f.file).At(string(m.pointer)).AtByte(m.offset)
}

func (f *fields) wrongType(m member, code fault.Code, want string) {
	f.refuse(f.at(fault.New(code, "%s is %s, and must be %s", m.name, kindName(m.value.Kind()), want), m).
		Fix("write the value PEFT saved"))
}

// take returns a member and marks it as one that Tenon knows.
func (f *fields) take(name string) (member, bool) {
	f.taken[name] = true
	i, ok := f.byName[name]
	if !ok {
		return member{}, false
	}
	return f.members[i], true
}

// value is take, with null as good as missing.
func (f *fields) value(name string) (member, bool) {
	m, ok := f.take(name)
	return m, ok && m.value.Kind() != 'n'
}

func (f *fields) boolean(name string) bool {
	m, ok := f.value(name)
	if !ok {
		return false
	}
	if kind := m.value.Kind(); kind != 't' && kind != 'f' {
		f.wrongType(m, fault.ADConfig, "true or false")
	}
	return m.value.Kind() == 't'
}

func (f *fields) text(name string) string {
	m, ok := f.value(name)
	if !ok {
		return ""
	}
	text, ok := m.text()
	if !ok {
		f.wrongType(m, fault.ADConfig, "a string")
	}
	return text
}

func (f *fields) stringList(name string) []string {
	m, ok := f.value(name)
	if !ok {
		return nil
	}
	return f.strings(m)
}

// strings reads an array of strings.
func (f *fields) strings(m member) []string {
	elements, ok := m.array()
	if !ok {
		f.wrongType(m, fault.ADConfig, "an array of strings")
		return nil
	}
	var list []string
	for _, element := range elements {
		text, ok := element.text()
		if !ok {
			element.name = "an element of " + m.name
			f.wrongType(element, fault.ADConfig, "a string")
			continue
		}
		list = append(list, text)
	}
	return list
}

func (f *fields) object(name string) []member {
	m, ok := f.value(name)
	if !ok {
		return nil
	}
	members, ok := m.object()
	if !ok {
		f.wrongType(m, fault.ADConfig, "an object")
	}
	return members
}

// integer returns a number that is written as a whole number.
func (m member) integer() (int64, bool) {
	if m.value.Kind() != '0' {
		return 0, false
	}
	n, err := strconv.ParseInt(string(m.value), 10, 64)
	return n, err == nil
}

// number returns a number that is finite as a float64.
func (m member) number() (float64, bool) {
	if m.value.Kind() != '0' {
		return 0, false
	}
	n, err := strconv.ParseFloat(string(m.value), 64)
	return n, err == nil && !math.IsInf(n, 0)
}

// excerpt is the value's text, cut to a length that fits a message.
func (m member) excerpt() string {
	const most = 40
	if text := string(m.value); len(text) <= most {
		return text
	}
	return kindName(m.value.Kind()) + " of " + strconv.Itoa(len(m.value)) + " bytes"
}
