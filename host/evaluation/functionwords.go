package evaluation

import "strings"

// functionWords are the words that METEOR gives a third of the weight of others. The original's list, words that make up more than one in a
// thousand of a large corpus, is not reproduced here. These are inferred from what the original printed for E2E text: its counts of
// function words for 70 segments, and three corpus scores to the last digit. To leave out any one word of the first four lines changes
// one of them, and so does to add any one word that is in a segment's best pair of texts. The words of the last line are in that text too,
// but where they change nothing; they stand here because they are as frequent as the others.
var functionWords = wordSet(`
	' 't a about after all also an and are as at be been but by can could for
	from has have he i if in is it its more new no not of on one or out over
	people s so some than that the their there they this to up
	was we which will with you
	had his into other said when who would`)

// unclassified are frequent words that the texts of those scores do not have. Nothing says whether METEOR has them for function words, so
// a text with one of them is refused. Rarer words cannot be on a list of the most frequent.
var unclassified = wordSet(`
	again am another back before big cent did during each ever feel first
	game government help her him how know left life little long make me
	men million mr mrs need never old own part percent president
	says school see she someone something state still team these thing
	think through time two until upon used way were what women work world
	years`)

func wordSet(words string) map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(words) {
		set[word] = true
	}
	return set
}
