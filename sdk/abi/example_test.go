package abi_test

import (
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/tenon-ml/tenon/sdk/abi"
)

// The numeric examples of ABI.md. What the example functions print is what the page shows.
var (
	// q_proj of a model of width 192 with an adapter of rank 16, as handles 0, 1 and 2.
	exampleInfo = abi.TargetInfo{
		A: 0, B: 1, Base: 2, Rank: 16, In: 192, Out: 192, Scale: 2, Alpha: 32, BaseDType: abi.DTypeBF16, FactorDType: abi.DTypeF32,
	}
	// The matrix of 2 x 3 with the rows 1, -2, 0 and NaN, 0.5, 0.
	exampleStats = abi.Stats{
		Count: 6, NaN: 1, Zero: 2, FirstNonFinite: 3, ZeroCols: 1, Min: -2, Max: 1, Sum: -0.5, SumSquares: 5.25,
	}
	// W = 1, 1 in BF16 and D = 1/1024, 1/128: the next number after 1 is 1 + 1/128, so the first is lost and the second is kept.
	exampleLoss = abi.RoundLoss{
		Count: 2, Changed: 1, NonZero: 2, Lost: 1, FirstOverflow: -1,
		Dot: 0x1p-14, DeltaSquares: 0x1p-14 + 0x1p-20, RoundedSquares: 0x1p-14, ErrorSquares: 0x1p-20,
	}
	// The same, asked for as a format; the base itself loses nothing.
	exampleRounding = abi.Rounding{
		Count: 2, NonZero: 2, Lost: 1, Changed: 1,
		Dot: 0x1p-14, DeltaSquares: 0x1p-14 + 0x1p-20, RoundedSquares: 0x1p-14, ErrorSquares: 0x1p-20, BaseSquares: 2,
	}
)

// dump writes the bytes of a struct with the offset, the name and the value of each field.
func dump(name string, raw []byte) string {
	var b strings.Builder
	for _, s := range abi.Structs {
		if s.Name != name {
			continue
		}
		for _, f := range s.Fields {
			size := 8
			if f.Type == abi.I32 {
				size = 4
			}
			var bits uint64
			for i := range size {
				bits |= uint64(raw[f.Offset+i]) << (8 * i)
			}
			value := fmt.Sprint(int64(bits))
			switch f.Type {
			case abi.I32:
				value = fmt.Sprint(int32(uint32(bits)))
			case abi.F64:
				value = fmt.Sprint(math.Float64frombits(bits))
			}
			fmt.Fprintf(&b, "%02d  %-23s  %s = %s\n", f.Offset, fmt.Sprintf("% x", raw[f.Offset:f.Offset+size]), f.Name, value)
		}
	}
	return b.String()
}

func ExampleTargetInfo_Append() {
	fmt.Print(dump("TargetInfo", exampleInfo.Append(nil)))
	// Output:
	// 00  00 00 00 00              A = 0
	// 04  01 00 00 00              B = 1
	// 08  02 00 00 00              Base = 2
	// 12  10 00 00 00              Rank = 16
	// 16  c0 00 00 00 00 00 00 00  In = 192
	// 24  c0 00 00 00 00 00 00 00  Out = 192
	// 32  00 00 00 00 00 00 00 40  Scale = 2
	// 40  00 00 00 00 00 00 40 40  Alpha = 32
	// 48  00 00 00 00              Flags = 0
	// 52  02 00 00 00              BaseDType = 2
	// 56  03 00 00 00              FactorDType = 3
	// 60  00 00 00 00              Reserved = 0
}

func ExampleStats_Append() {
	fmt.Print(dump("Stats", exampleStats.Append(nil)))
	// Output:
	// 00  06 00 00 00 00 00 00 00  Count = 6
	// 08  01 00 00 00 00 00 00 00  NaN = 1
	// 16  00 00 00 00 00 00 00 00  Inf = 0
	// 24  02 00 00 00 00 00 00 00  Zero = 2
	// 32  00 00 00 00 00 00 00 00  Subnormal = 0
	// 40  03 00 00 00 00 00 00 00  FirstNonFinite = 3
	// 48  00 00 00 00 00 00 00 00  ZeroRows = 0
	// 56  01 00 00 00 00 00 00 00  ZeroCols = 1
	// 64  00 00 00 00 00 00 00 c0  Min = -2
	// 72  00 00 00 00 00 00 f0 3f  Max = 1
	// 80  00 00 00 00 00 00 e0 bf  Sum = -0.5
	// 88  00 00 00 00 00 00 15 40  SumSquares = 5.25
}

func ExampleRoundLoss_Append() {
	fmt.Print(dump("RoundLoss", exampleLoss.Append(nil)))
	// Output:
	// 00  02 00 00 00 00 00 00 00  Count = 2
	// 08  01 00 00 00 00 00 00 00  Changed = 1
	// 16  02 00 00 00 00 00 00 00  NonZero = 2
	// 24  01 00 00 00 00 00 00 00  Lost = 1
	// 32  00 00 00 00 00 00 00 00  Overflow = 0
	// 40  ff ff ff ff ff ff ff ff  FirstOverflow = -1
	// 48  00 00 00 00 00 00 10 3f  Dot = 6.103515625e-05
	// 56  00 00 00 00 00 40 10 3f  DeltaSquares = 6.198883056640625e-05
	// 64  00 00 00 00 00 00 10 3f  RoundedSquares = 6.103515625e-05
	// 72  00 00 00 00 00 00 b0 3e  ErrorSquares = 9.5367431640625e-07
}

func ExampleRounding_Append() {
	fmt.Print(dump("Rounding", exampleRounding.Append(nil)))
	// Output:
	// 00  02 00 00 00 00 00 00 00  Count = 2
	// 08  02 00 00 00 00 00 00 00  NonZero = 2
	// 16  01 00 00 00 00 00 00 00  Lost = 1
	// 24  01 00 00 00 00 00 00 00  Changed = 1
	// 32  00 00 00 00 00 00 00 00  Overflow = 0
	// 40  00 00 00 00 00 00 00 00  NonFinite = 0
	// 48  00 00 00 00 00 00 10 3f  Dot = 6.103515625e-05
	// 56  00 00 00 00 00 40 10 3f  DeltaSquares = 6.198883056640625e-05
	// 64  00 00 00 00 00 00 10 3f  RoundedSquares = 6.103515625e-05
	// 72  00 00 00 00 00 00 b0 3e  ErrorSquares = 9.5367431640625e-07
	// 80  00 00 00 00 00 00 00 40  BaseSquares = 2
	// 88  00 00 00 00 00 00 00 00  BaseError = 0
}

// A is 16 x 192 and B is 192 x 16. matmul(B, A, 0) is B A, of 192 x 192; matmul(A, B, 3) is its transpose, A' B'; matmul(A, A, 2) is A A',
// of 16 x 16, and matmul(B, B, 1) is B' B.
func Example_matmulFlags() {
	fmt.Println("neither  ", 0)
	fmt.Println("a alone  ", abi.TransposeA)
	fmt.Println("b alone  ", abi.TransposeB)
	fmt.Println("both     ", abi.TransposeA|abi.TransposeB)
	// Output:
	// neither   0
	// a alone   1
	// b alone   2
	// both      3
}

// A status is a negative result, and an error.
func ExampleStatus() {
	result := int32(-3)
	if result < 0 {
		fmt.Println(abi.Status(result), abi.Status(result) == abi.Range)
	}
	// Output: out of range true
}

func TestPageShowsTheExamples(t *testing.T) {
	page, err := os.ReadFile("ABI.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, example := range []string{
		dump("TargetInfo", exampleInfo.Append(nil)), dump("Stats", exampleStats.Append(nil)),
		dump("RoundLoss", exampleLoss.Append(nil)), dump("Rounding", exampleRounding.Append(nil)),
	} {
		if !strings.Contains(string(page), example) {
			t.Errorf("ABI.md lacks this example:\n%s", example)
		}
	}
}
