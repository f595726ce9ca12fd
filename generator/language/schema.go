package language

import (
	"bytes"
	"encoding/json"
	"strings"
)

// object is a JSON object; encoding/json sorts its members, so the schema is
// the same every time.
type object = map[string]any

// JSONSchema describes policies in HCL's JSON form (*.hcl.json) as a JSON
// Schema of draft 2020-12, for editors. It is looser than `exipol check` where a
// schema cannot say more.
func JSONSchema() []byte {
	defs := object{}
	root := bodySchema(&Root, "", defs)
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "exipol policy"
	root["description"] = "A policy set of exipol, in HCL's JSON form."
	root["$defs"] = defs
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(root); err != nil {
		// The schema is built of strings, bools and maps only: this cannot fail.
		panic(err)
	}
	return b.Bytes()
}

// bodySchema describes what stands between a block's braces; nested blocks go
// into defs under their path.
func bodySchema(b *Block, path string, defs object) object {
	properties := object{"//": object{"description": "A comment."}}
	var required []string
	for _, a := range b.Arguments {
		s := typeSchema(a)
		s["description"] = a.Doc
		properties[a.Name] = s
		if a.Required {
			required = append(required, a.Name)
		}
	}
	for i := range b.Blocks {
		c := &b.Blocks[i]
		name := strings.TrimPrefix(path+"."+c.Name, ".")
		bodies := []*Block{c}
		if len(c.Kinds) > 0 {
			bodies = bodies[:0]
		}
		for k := range c.Kinds {
			bodies = append(bodies, &c.Kinds[k])
		}
		for _, body := range bodies {
			defs[defName(name, body)] = bodySchema(body, name, defs)
		}
		properties[c.Name] = blockSchema(c, name)
		if c.Required && path != "" {
			required = append(required, c.Name)
		}
	}
	s := object{"type": "object", "properties": properties, "additionalProperties": b.Free}
	if b.Doc != "" {
		s["description"] = b.Doc
	}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// defName is the name of a body in the definitions: its path, and its kind where it has
// one.
func defName(path string, b *Block) string {
	if b.Kind != "" {
		return path + "." + b.Kind
	}
	return path
}

// blockSchema describes the member that holds a block or several: by label
// where there is one, an array where there may be more than one. The bodies are
// in the definitions under path.
func blockSchema(b *Block, path string) object {
	body := object{"$ref": "#/$defs/" + path}
	if b.Label == "" {
		if b.Once {
			return body
		}
		return object{"oneOf": []any{body, object{"type": "array", "items": body}}}
	}
	labelled := object{"type": "object", "additionalProperties": false}
	if len(b.Kinds) > 0 {
		words := object{}
		for i := range b.Kinds {
			words[b.Kinds[i].Kind] = object{"$ref": "#/$defs/" + defName(path, &b.Kinds[i])}
		}
		labelled["properties"], labelled["description"] = words, b.Doc
	} else {
		labelled["patternProperties"] = object{NamePattern: body}
	}
	return object{"oneOf": []any{labelled, object{"type": "array", "items": labelled}}}
}

// inserted matches a string that holds ${...}: its value is not known here.
const inserted = `\$\{`

func pattern(p string) object { return object{"type": "string", "pattern": p + "|" + inserted} }

func listOf(s object) object {
	return object{"oneOf": []any{object{"type": "array", "items": s}, object{"type": "string", "pattern": `^\$\{.*\}$`}}}
}

func typeSchema(a Argument) object {
	const rate = `^[0-9]+%? */ *([0-9]+[wdhms])+$`
	switch a.Type {
	case Word:
		words := make([]any, len(a.Words))
		for i, w := range a.Words {
			words[i] = w
		}
		return object{"anyOf": []any{object{"enum": words}, object{"type": "string", "pattern": inserted}}}
	case BareWord:
		return object{"enum": a.Words}
	case Facts:
		return object{"type": "array", "minItems": 1, "items": factSchema(a.Name)}
	case Lists:
		return object{"type": "array", "minItems": 1, "items": object{"type": "string", "pattern": `^list\.[a-z][a-z0-9_]*$`}}
	case Path:
		return pattern(`^/`)
	case Paths:
		return listOf(pattern(`^/`))
	case Version:
		return pattern(`^4\.[0-9]+(\.[0-9]+)?$`)
	case Words, BareWords:
		return object{"type": "array", "minItems": 1, "items": object{"enum": a.Words}}
	case Receivers:
		return object{"type": "array", "minItems": 1, "items": object{"type": "string", "pattern": `^(owner|notice\.[a-z][a-z0-9_]*)$`}}
	case URL:
		return pattern(`^https?://`)
	case Percent:
		return pattern(`^[1-9][0-9]?%$`)
	case End:
		return pattern(`^(released|([0-9]+[wdhms])+)$`)
	case Domains, Networks, Addresses, Strings, Servers, Hosts, Mailboxes:
		return listOf(object{"type": "string"})
	case DBServers:
		s := listOf(object{"type": "string"})
		s["minItems"] = 1
		return s
	case DBName:
		return pattern(DBNamePattern)
	case DBUser:
		return pattern(DBUserPattern)
	case Date:
		return pattern(`^[0-9]{4}-[0-9]{2}-[0-9]{2}`)
	case Day:
		return pattern(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`)
	case Bool:
		return object{"oneOf": []any{object{"type": "boolean"}, object{"type": "string", "pattern": inserted}}}
	case Number:
		n := object{"type": "integer", "minimum": a.Min}
		if a.Most > 0 {
			n["maximum"] = a.Most
		}
		return object{"oneOf": []any{n, object{"type": "string", "pattern": inserted}}}
	case Duration:
		return pattern(`^([0-9]+[wdhms])+$`)
	case Rates:
		return object{"oneOf": []any{pattern(rate), object{"type": "array", "items": pattern(rate), "minItems": 1}}}
	case EventName:
		return object{"enum": eventNames()}
	case Events:
		weights := object{}
		for _, e := range EventWords {
			weights[e.Name] = object{"type": "integer", "minimum": 1, "description": e.Doc}
		}
		return object{"type": "object", "properties": weights, "additionalProperties": false, "minProperties": 1}
	case Key:
		return object{"type": "array", "minItems": 1, "items": keySchema()}
	case Count:
		return object{"type": "string", "pattern": `^(distinct\(.*\)|share\((recipient|message)\))$`}
	case References:
		return object{"type": "array", "items": object{"type": "string", "pattern": `^(list|greylist|pool)\.[a-z][a-z0-9_]*(\.[a-z]+)?$`}}
	case Headers:
		return object{"type": "object", "additionalProperties": object{"type": "string"}}
	case TierRates:
		return object{"type": "object", "minProperties": 1, "additionalProperties": object{"oneOf": []any{pattern(rate), object{"type": "array", "items": pattern(rate)}}}}
	case TypeName:
		return object{"enum": []any{"string", "number", "bool", "list(string)"}}
	case Any:
		return object{}
	}
	return object{"type": "string"}
}

func eventNames() []any {
	var names []any
	for _, e := range EventWords {
		names = append(names, e.Name)
	}
	return names
}

func keySchema() object {
	var words []any
	for _, k := range KeyFields {
		words = append(words, k.Text)
	}
	return object{"anyOf": []any{object{"enum": words}, object{"type": "string", "pattern": `^net\(`}}}
}
