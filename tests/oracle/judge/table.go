package main

import (
	"encoding/json"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/printers"
	printersinternal "k8s.io/kubernetes/pkg/printers/internalversion"
)

var tables = printers.NewTableGenerator().With(printersinternal.AddHandlers)

// table gives the columns of a kind and the cells of an object, those of the wide form included.
func table(question *Question) (*Answer, error) {
	object, _, err := readInternal(question.Object)
	if err != nil {
		return nil, err
	}
	made, err := tables.GenerateTable(object, printers.GenerateOptions{Wide: true})
	if err != nil {
		return nil, err
	}
	type shown struct {
		Columns []metav1.TableColumnDefinition `json:"columns"`
		Cells   []any                          `json:"cells"`
	}
	text, err := json.Marshal(shown{made.ColumnDefinitions, made.Rows[0].Cells})
	return &Answer{Object: text}, err
}
