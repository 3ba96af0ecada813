package gate

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// Limits of one expression. A report of the largest adapter Tenon takes is searched once or twice well inside them; a search inside a
// search is not, and is refused when the policy is loaded.
const (
	maxExpression = 16 << 10   // bytes of source
	maxCost       = 20_000_000 // CEL cost units of one evaluation, about a second
)

// sizes are the greatest lengths of what a rule can search, for the estimate of its cost.
var sizes = map[string]uint64{"metrics": 100_000, "findings": 10_000, "modules": 100, "tensors": 65_536, "rank": 256, "scale": 256, "metric": 1_000}

// expression is one compiled CEL expression.
type expression struct {
	source  string
	program cel.Program
}

// newEnvironment returns what a rule may name: the parts of a report; with perTarget also target and metric; with limited also limit.
func newEnvironment(perTarget, limited bool) (*cel.Env, error) {
	list := func(name string) *cel.Type { return cel.ListType(cel.ObjectType(name)) }
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, fmt.Errorf("preparing CEL: %w", err)
	}
	options := []cel.EnvOption{
		cel.CustomTypeProvider(provider{registry}),
		cel.CrossTypeNumericComparisons(true), // "norm_ratio > 1" means what it says
		cel.ParserExpressionSizeLimit(maxExpression),
		cel.ParserRecursionLimit(100),
		cel.Variable("adapter", cel.ObjectType("report.Adapter")),
		cel.Variable("base", cel.ObjectType("report.Base")),
		cel.Variable("coverage", cel.ObjectType("report.Coverage")),
		cel.Variable("modules", list("report.Module")),
		cel.Variable("metrics", list("report.Metric")),
		cel.Variable("findings", list("report.Finding")),
		numberTest("isFinite", func(v float64) bool { return !math.IsInf(v, 0) }, false),
		numberTest("isNaN", math.IsNaN, true),
	}
	if perTarget {
		options = append(options, cel.Variable("target", cel.StringType), cel.Variable("metric", cel.MapType(cel.StringType, cel.DoubleType)))
	}
	if limited {
		options = append(options, cel.Variable("limit", cel.DoubleType))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("preparing CEL: %w", err)
	}
	return env, nil
}

// numberTest declares a function of one number that also answers for errNaN; other errors pass through.
func numberTest(name string, test func(float64) bool, ofNaN bool) cel.EnvOption {
	return cel.Function(name, cel.Overload(name+"_double", []*cel.Type{cel.DoubleType}, cel.BoolType, cel.OverloadIsNonStrict(),
		cel.UnaryBinding(func(arg ref.Val) ref.Val {
			switch v := arg.(type) {
			case types.Double:
				return types.Bool(test(float64(v)))
			case *types.Err:
				if errors.Is(v, errNaN) {
					return types.Bool(ofNaN)
				}
				return v
			}
			return types.MaybeNoSuchOverloadErr(arg)
		})))
}

// compile checks that source is an expression of the wanted type whose cost is bounded, and prepares it. An error is one line.
func compile(env *cel.Env, source string, want *cel.Type) (*expression, error) {
	if len(source) > maxExpression {
		return nil, fmt.Errorf("an expression of %d bytes, and the limit is %d", len(source), maxExpression)
	}
	ast, issues := env.Compile(source)
	if err := issues.Err(); err != nil {
		return nil, errors.New(firstIssue(issues))
	}
	if got := ast.OutputType(); !got.IsExactType(want) && (want != cel.DoubleType || !got.IsExactType(cel.IntType)) {
		return nil, fmt.Errorf("the expression gives a %s and must give a %s", got, want)
	}
	estimate, err := env.EstimateCost(ast, estimator{})
	if err != nil {
		return nil, fmt.Errorf("the cost cannot be estimated: %w", err)
	}
	if estimate.Max > maxCost {
		return nil, errors.New("the expression could take too long on a large adapter; a search inside a search is the usual reason")
	}
	program, err := env.Program(ast, cel.CostLimit(maxCost), cel.InterruptCheckFrequency(1000))
	if err != nil {
		return nil, fmt.Errorf("the expression cannot be prepared: %w", err)
	}
	return &expression{source: source, program: program}, nil
}

// firstIssue is the first complaint of the CEL compiler, on one line.
func firstIssue(issues *cel.Issues) string {
	first := issues.Errors()[0]
	return fmt.Sprintf("at %d:%d of the expression: %s", first.Location.Line(), first.Location.Column()+1,
		strings.Join(strings.Fields(first.Message), " "))
}

// test evaluates a condition.
func (e *expression) test(ctx context.Context, variables map[string]any) (bool, error) {
	out, _, err := e.program.ContextEval(ctx, variables)
	if err != nil {
		return false, err
	}
	yes, ok := out.(types.Bool)
	if !ok {
		return false, fmt.Errorf("the expression gave a %s", out.Type().TypeName())
	}
	return bool(yes), nil
}

// number evaluates a number; what has none is NaN, because a number only illustrates a finding that stands without it.
func (e *expression) number(ctx context.Context, variables map[string]any) float64 {
	if e == nil {
		return 0
	}
	out, _, err := e.program.ContextEval(ctx, variables)
	if err != nil {
		return math.NaN()
	}
	switch v := out.(type) {
	case types.Double:
		return float64(v)
	case types.Int:
		return float64(v)
	}
	return math.NaN()
}

// estimator tells CEL how large the parts of a report can be.
type estimator struct{}

var _ cost.Estimator = estimator{}

// EstimateSize bounds lists by name and text by what reports hold.
func (estimator) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	path := node.Path()
	if len(path) > 0 {
		if most, ok := sizes[path[len(path)-1]]; ok && (node.Type().Kind() == types.ListKind || node.Type().Kind() == types.MapKind) {
			size := cost.RangedSizeEstimate(0, most)
			return &size
		}
		if node.Type().Kind() == types.StringKind {
			size := cost.RangedSizeEstimate(0, 4096)
			return &size
		}
	}
	return nil
}

// EstimateCallCost leaves calls to CEL, except for the two tests of numbers.
func (estimator) EstimateCallCost(function, _ string, _ *cost.AstNode, _ []cost.AstNode) *cost.CallEstimate {
	if function == "isFinite" || function == "isNaN" {
		return cost.NewCallEstimate(cost.FixedCostEstimate(1), nil)
	}
	return nil
}
