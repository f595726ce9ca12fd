package language

import (
	"fmt"
	"strings"
)

// ReferenceMarkdown is the reference page of the language.
func ReferenceMarkdown() string {
	var b strings.Builder
	b.WriteString("# The policy language\n\n")
	b.WriteString("<!-- Generated from the language table (generator/language). Do not edit; run UPDATE=1 go test ./generator/language/ -->\n\n")
	b.WriteString(Root.Doc + " The syntax is HCL 2, native (`*.hcl`) or as JSON (`*.hcl.json`, described by `exipol-policy.schema.json`).\n\n")
	b.WriteString("A choice among fixed words is a string in quotes; the name of a thing (an event, a key, a fact, a list, another policy) is written without quotes. Names given by you are of lower-case letters, digits and underscores, begin with a letter and have at most 48 characters.\n\n")
	for i := range Root.Blocks {
		writeBlock(&b, &Root.Blocks[i], nil)
	}
	writeVocabulary(&b)
	return b.String()
}

func writeBlock(b *strings.Builder, block *Block, parents []string) {
	path := append(append([]string{}, parents...), block.Name)
	head := strings.Join(path, " > ")
	if block.Kind != "" {
		head = block.Title()
	}
	fmt.Fprintf(b, "%s `%s`\n\n", strings.Repeat("#", min(len(path)+1, 5)), head)
	b.WriteString("```hcl\n" + header(block) + "\n```\n\n")
	b.WriteString(block.Doc)
	if block.Once {
		where := "a policy set"
		if len(parents) > 0 {
			where = "`" + parents[len(parents)-1] + "`"
		}
		fmt.Fprintf(b, " At most one in %s", where)
		if block.Required {
			b.WriteString("; required")
		}
		b.WriteString(".")
	} else if block.Required {
		b.WriteString(" At least one is required.")
	}
	b.WriteString("\n\n")
	if len(block.Arguments) > 0 {
		b.WriteString("| argument | type | default | |\n|---|---|---|---|\n")
		for _, a := range block.Arguments {
			fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", a.Name, typeCell(a), defaultCell(a), strings.ReplaceAll(a.Doc, "|", "\\|"))
		}
		b.WriteString("\n")
	}
	for i := range block.Kinds {
		writeBlock(b, &block.Kinds[i], path)
	}
	for i := range block.Blocks {
		writeBlock(b, &block.Blocks[i], path)
	}
}

func header(block *Block) string {
	switch {
	case len(block.Kinds) > 0:
		return block.Name + ` "` + strings.Join(block.Words(), `" | "`) + `" { ... }`
	case block.Kind != "":
		return block.Title() + " { ... }"
	case block.Label != "":
		return block.Name + ` "` + strings.ToUpper(block.Label) + `" { ... }`
	}
	return block.Name + " { ... }"
}

func typeCell(a Argument) string {
	switch a.Type {
	case BareWord:
		return "`" + strings.Join(a.Words, "`, `") + "`"
	case BareWords:
		return "list of `" + strings.Join(a.Words, "`, `") + "`"
	case Words:
		return "list of `\"" + strings.Join(a.Words, "\"`, `\"") + "\"`"
	}
	if a.Most > 0 {
		return fmt.Sprintf("%s, %d to %d", a.Type, a.Min, a.Most)
	}
	if len(a.Words) > 0 {
		return "`\"" + strings.Join(a.Words, "\"`, `\"") + "\"`"
	}
	return string(a.Type)
}

func defaultCell(a Argument) string {
	switch {
	case a.Required:
		return "required"
	case a.Default != "":
		return "`" + a.Default + "`"
	case a.Instead != "":
		return a.Instead
	}
	return "none"
}

func writeVocabulary(b *strings.Builder) {
	b.WriteString("## Types\n\n| type | |\n|---|---|\n")
	for _, t := range TypeDocs {
		fmt.Fprintf(b, "| %s | %s |\n", t.Type, strings.ReplaceAll(t.Doc, "|", "\\|"))
	}
	b.WriteString("\n## Keys\n\nThe words of keys, and of `distinct(...)`. Every field is normalised before it is compared (with `engine = \"exim\"` only put into lower case, and without `client.pool`).\n\n| word | |\n|---|---|\n")
	for _, k := range KeyFields {
		fmt.Fprintf(b, "| `%s` | %s |\n", k.Text, k.Doc)
	}
	b.WriteString("| `net(client.ip, V4, V6)` | The first V4 bits of an IPv4 address, or V6 bits of an IPv6 address. |\n")
	b.WriteString("\n## Fields of headers\n\nWhat the texts of `add_header` can name, as `${auth}`. Where a message has no such thing, the field is empty.\n\n| field | |\n|---|---|\n")
	for _, f := range HeaderFields {
		fmt.Fprintf(b, "| `${%s}` | %s |\n", f.Text, f.Doc)
	}
	writeFacts(b)
	b.WriteString("\n## Events\n\n| event | stage | counted | |\n|---|---|---|---|\n")
	for _, e := range EventWords {
		counted := "where it was accepted in the end, or `attempts = true`"
		if e.Offence {
			counted = "always"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", e.Name, e.Stage, counted, e.Doc)
	}
	b.WriteString("\n## Functions\n\nFor values in `locals` and arguments. Besides them there are HCL's operators, conditions (`a ? b : c`) and `for` expressions.\n\n| function | |\n|---|---|\n")
	for _, f := range Functions {
		fmt.Fprintf(b, "| `%s` | %s |\n", f.Call, f.Doc)
	}
}
