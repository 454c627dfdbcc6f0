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

func (s sources) of(pkg string) *markers {
	if m, ok := s[pkg]; ok {
		return m
	}
	m := &markers{enums: map[string][]string{}, defaults: map[string]string{}, consts: map[string]string{}}
	for _, arg := range os.Args[1:] {
		module, dir, _ := strings.Cut(arg, "=")
		if rest, ok := strings.CutPrefix(pkg+"/", module+"/"); ok {
			m.read(s, filepath.Join(dir, rest))
		}
	}
	s[pkg] = m
	return m
}

func (m *markers) read(s sources, dir string) {
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
					m.declaration(g, closed, byType, imported{s, file})
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

func (m *markers) declaration(g *ast.GenDecl, closed map[string]bool, byType map[string][]string, others imported) {
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
				typed, expression := s.Type, s.Values[i]
				// Type("value") says the type as well as `Name Type = "value"` does.
				if call, ok := expression.(*ast.CallExpr); ok && len(call.Args) == 1 {
					typed, expression = call.Fun, call.Args[0]
				}
				value, ok := others.text(expression)
				if !ok {
					continue
				}
				m.consts[n.Name] = value
				if t, ok := typed.(*ast.Ident); ok {
					byType[t.Name] = append(byType[t.Name], value)
				}
			}
		}
	}
}

// imported finds constants of the packages that a file imports.
type imported struct {
	sources
	file *ast.File
}

// text is the value of a string literal, or of another package's constant.
func (i imported) text(expression ast.Expr) (string, bool) {
	switch e := expression.(type) {
	case *ast.BasicLit:
		value, err := strconv.Unquote(e.Value)
		return value, err == nil && e.Kind == token.STRING
	case *ast.SelectorExpr:
		name, _ := e.X.(*ast.Ident)
		for _, spec := range i.file.Imports {
			if spec.Name != nil && name != nil && spec.Name.Name == name.Name {
				value, ok := i.of(strings.Trim(spec.Path.Value, `"`)).consts[e.Sel.Name]
				return value, ok
			}
		}
	}
	return "", false
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
	m := s.of(t.PkgPath())
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
	return s.of(t.PkgPath()).enums[t.Name()]
}
