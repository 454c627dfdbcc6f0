package main

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// markers are what one package's source says in comments: closed sets of values and defaults.
type markers struct {
	enums    map[string][]string // type name -> allowed values, sorted
	defaults map[string]string   // Struct.Field -> the text after +default=
	consts   map[string]string   // constant -> its value
}

// sources finds and reads packages by the directories of their modules, given as arguments: k8s.io/api=DIR.
type sources map[string]*markers

func (s sources) of(t reflect.Type) *markers {
	if m, ok := s[t.PkgPath()]; ok {
		return m
	}
	m := &markers{enums: map[string][]string{}, defaults: map[string]string{}, consts: map[string]string{}}
	for _, arg := range os.Args[1:] {
		module, dir, _ := strings.Cut(arg, "=")
		if rest, ok := strings.CutPrefix(t.PkgPath()+"/", module+"/"); ok {
			m.read(filepath.Join(dir, rest))
		}
	}
	s[t.PkgPath()] = m
	return m
}

func (m *markers) read(dir string) {
	notTest := func(f fs.FileInfo) bool { return !strings.HasSuffix(f.Name(), "_test.go") }
	packages, err := parser.ParseDir(token.NewFileSet(), dir, notTest, parser.ParseComments)
	if err != nil {
		panic(err)
	}
	closed, byType := map[string]bool{}, map[string][]string{}
	for _, p := range packages {
		for _, file := range p.Files {
			for _, d := range file.Decls {
				if g, ok := d.(*ast.GenDecl); ok {
					m.declaration(g, closed, byType)
				}
			}
		}
	}
	for name := range closed {
		values := byType[name]
		slices.Sort(values)
		m.enums[name] = slices.Compact(values)
	}
}

func (m *markers) declaration(g *ast.GenDecl, closed map[string]bool, byType map[string][]string) {
	for _, s := range g.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			if marked(s.Doc, "+enum") || len(g.Specs) == 1 && marked(g.Doc, "+enum") {
				closed[s.Name.Name] = true
			}
			if body, ok := s.Type.(*ast.StructType); ok {
				for _, f := range body.Fields.List {
					text, ok := marker(f.Doc, "+default=")
					for _, n := range f.Names {
						if ok {
							m.defaults[s.Name.Name+"."+n.Name] = text
						}
					}
				}
			}
		case *ast.ValueSpec:
			if g.Tok != token.CONST || len(s.Values) != len(s.Names) {
				continue
			}
			for i, n := range s.Names {
				literal, ok := s.Values[i].(*ast.BasicLit)
				if !ok || literal.Kind != token.STRING {
					continue
				}
				value, _ := strconv.Unquote(literal.Value)
				m.consts[n.Name] = value
				if t, ok := s.Type.(*ast.Ident); ok {
					byType[t.Name] = append(byType[t.Name], value)
				}
			}
		}
	}
}

// marked tells whether a comment has a line that is this marker.
func marked(doc *ast.CommentGroup, name string) bool {
	rest, ok := marker(doc, name)
	return ok && rest == ""
}

// marker gives what follows a marker on its line.
func marker(doc *ast.CommentGroup, name string) (string, bool) {
	if doc == nil {
		return "", false
	}
	for _, c := range doc.List {
		text := strings.TrimSpace(strings.TrimPrefix(c.Text, "//"))
		if rest, ok := strings.CutPrefix(text, name); ok {
			return rest, true
		}
	}
	return "", false
}

// fieldDefault is the value of a field's +default marker; ref(NAME) is a constant of the same package.
func (s sources) fieldDefault(t reflect.Type, field string) any {
	m := s.of(t)
	text, ok := m.defaults[t.Name()+"."+field]
	if !ok {
		return nil
	}
	if name, ok := strings.CutPrefix(text, "ref("); ok {
		value, known := m.consts[strings.TrimSuffix(name, ")")]
		if !known {
			panic("unknown constant " + text)
		}
		return value
	}
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		panic(err)
	}
	return value
}

// allowed is the closed set of values of a named string type; nil if it is open.
func (s sources) allowed(t reflect.Type) []string {
	if t.Kind() != reflect.String || !strings.HasPrefix(t.PkgPath(), "k8s.io/") {
		return nil
	}
	return s.of(t).enums[t.Name()]
}
