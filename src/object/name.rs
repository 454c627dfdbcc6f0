//! Rules for names, labels and annotations, with upstream's texts (k8s.io/apimachinery/pkg/util/validation).
