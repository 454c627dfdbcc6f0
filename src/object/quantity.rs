//! `resource.Quantity`: parsing, canonical form, comparison (k8s.io/apimachinery/pkg/api/resource).
