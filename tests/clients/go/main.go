// What programs do with client-go: client KUBECONFIG NAMESPACE steps|inform
//
// `steps` does one thing after another and prints what came of each, the lines of ../steps.txt. `inform` runs a shared
// informer over the ConfigMaps of the namespace until its input ends and prints what it tells: `+ NAME VERSION`,
// `- NAME`, and `=` once all was listed. KUBE_FEATURE_WatchListClient=true|false says how it lists.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// A user of one namespace.
type user struct {
	context.Context
	namespace string
	client    *kubernetes.Clientset
	dynamic   *dynamic.DynamicClient
}

func main() {
	config := must(clientcmd.BuildConfigFromFlags("", os.Args[1]))
	typed := rest.CopyConfig(config)
	typed.ContentType = runtime.ContentTypeProtobuf
	u := user{context.Background(), os.Args[2], must(kubernetes.NewForConfig(typed)), must(dynamic.NewForConfig(config))}
	switch os.Args[3] {
	case "steps":
		u.steps()
	case "inform":
		u.inform()
	}
}

func (u user) inform() {
	factory := informers.NewSharedInformerFactoryWithOptions(u.client, 10*time.Minute, informers.WithNamespace(u.namespace))
	informer := factory.Core().V1().ConfigMaps().Informer()
	told := func(object any) {
		meta := object.(*v1.ConfigMap).ObjectMeta
		fmt.Println("+", meta.Name, meta.ResourceVersion)
	}
	must(informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    told,
		UpdateFunc: func(_, object any) { told(object) },
		DeleteFunc: func(object any) {
			key := must(cache.DeletionHandlingMetaNamespaceKeyFunc(object))
			_, name, _ := cache.SplitMetaNamespaceKey(key)
			fmt.Println("-", name)
		},
	}))
	factory.Start(u.Done())
	factory.WaitForCacheSync(u.Done())
	fmt.Println("=")
	must(io.ReadAll(os.Stdin))
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
