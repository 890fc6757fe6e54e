// render CHART NAMESPACE [VALUES]: what Helm makes of a chart, by what Helm is made of: Go's text/template, sprig, and its reader of YAML.
// Helm's own part is small and stands here: which functions there are besides sprig's, and what a template is told. Stricter than Helm: a value that
// is not there is an error. Not here: subcharts, hooks, libraries, the cluster. Documents on standard output.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/Masterminds/semver"
	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

const kubernetes = "v1.29.0"

type things = map[string]interface{}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
}

func read(path string, into interface{}) {
	text, err := os.ReadFile(path)
	check(err)
	check(yaml.Unmarshal(text, into))
}

func toYaml(value interface{}) (string, error) {
	text, err := yaml.Marshal(value)
	return strings.TrimSuffix(string(text), "\n"), err
}

func fromYaml(text string) (things, error) {
	value := things{}
	return value, yaml.Unmarshal([]byte(text), &value)
}

func required(why string, value interface{}) (interface{}, error) {
	if value == nil || value == "" {
		return nil, fmt.Errorf("%s", why)
	}
	return value, nil
}

func executed(t *template.Template, name string, data interface{}) (string, error) {
	var out strings.Builder
	err := t.ExecuteTemplate(&out, name, data)
	return out.String(), err
}

// Functions that need the templates themselves are bound to them.
func functions(t *template.Template) template.FuncMap {
	known := sprig.TxtFuncMap()
	delete(known, "env")
	delete(known, "expandenv")
	known["toYaml"], known["fromYaml"], known["required"] = toYaml, fromYaml, required
	known["lookup"] = func(...string) things { return things{} }
	known["include"] = func(name string, data interface{}) (string, error) { return executed(t, name, data) }
	known["tpl"] = func(text string, data interface{}) (string, error) {
		copy, err := t.Clone()
		if err != nil {
			return "", err
		}
		if _, err = copy.Funcs(functions(copy)).New("tpl").Parse(text); err != nil {
			return "", err
		}
		return executed(copy, "tpl", data)
	}
	return known
}

func main() {
	folder, namespace := os.Args[1], os.Args[2]
	values := things{}
	read(filepath.Join(append(os.Args[3:], filepath.Join(folder, "values.yaml"))[0]), &values)
	var chart struct{ Name, Version, AppVersion, KubeVersion, Description, Type, ApiVersion string }
	read(filepath.Join(folder, "Chart.yaml"), &chart)
	wanted, err := semver.NewConstraint(chart.KubeVersion)
	check(err)
	if !wanted.Check(semver.MustParse(kubernetes)) {
		check(fmt.Errorf("it is not for Kubernetes %s", kubernetes))
	}

	all := template.New("all").Option("missingkey=error")
	all.Funcs(functions(all))
	paths, err := filepath.Glob(filepath.Join(folder, "templates", "*"))
	check(err)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		check(err)
		_, err = all.New(filepath.Base(path)).Parse(string(text))
		check(err)
	}
	for _, path := range paths {
		name := filepath.Base(path)
		if strings.HasPrefix(name, "_") || strings.HasSuffix(name, ".txt") {
			continue
		}
		text, err := executed(all, name, things{
			"Values": values, "Chart": chart,
			"Release":      things{"Name": chart.Name, "Namespace": namespace, "Service": "Helm", "Revision": 1, "IsInstall": true, "IsUpgrade": false},
			"Capabilities": things{"KubeVersion": things{"Version": kubernetes, "Major": "1", "Minor": "29"}},
			"Template":     things{"Name": chart.Name + "/templates/" + name, "BasePath": chart.Name + "/templates"},
		})
		check(err)
		fmt.Printf("---\n# Source: %s/templates/%s\n%s\n", chart.Name, name, text)
	}
}
