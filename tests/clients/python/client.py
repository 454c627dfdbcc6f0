"""What programs do with the Python client: client.py KUBECONFIG NAMESPACE steps|inform

`steps` does one thing after another and prints what came of each, the lines of ../steps.txt. `inform` runs the client's
informer over the ConfigMaps of the namespace until its input ends and prints what it tells: `+ NAME VERSION`, `- NAME`,
and `=` once all was listed."""

import json
import logging
import sys

from kubernetes import client, config, dynamic, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.informer import ADDED, DELETED, MODIFIED, SharedInformer

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
GROUP = "python.clients.example.com"
SCALE = {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}
WIDGETS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"widgets.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
        "versions": [{
            "name": "v1", "served": True, "storage": True, "subresources": {"scale": SCALE},
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "properties": {"size": {"type": "integer", "default": 3}}},
                "status": {"type": "object", "properties": {"size": {"type": "integer"}}}}}},
        }],
    },
}


def say(*words):
    print(*words, flush=True)


def refused(call, *arguments, **more):
    try:
        call(*arguments, **more)
    except ApiException as error:
        say("refused", error.status, json.loads(error.body)["reason"])
    else:
        say("not refused")


def config_map(name, labels=None, **data):
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels=labels), data=data)


def told(config_map, key="a"):
    return f"{config_map.metadata.name} {key}={config_map.data[key]}"


def names(items):
    return " ".join(item.metadata.name for item in items)


def objects(core, namespace):
    say("created", told(core.create_namespaced_config_map(namespace, config_map("one", a="1"))))
    refused(core.create_namespaced_config_map, namespace, config_map("one", a="1"))
    say("read", told(core.read_namespaced_config_map("one", namespace)))
    refused(core.read_namespaced_config_map, "two", namespace)


def lists(core, namespace):
    for number in range(10):
        core.create_namespaced_config_map(namespace, config_map(f"item-{number}", {"group": "items"}))
    items = dynamic.DynamicClient(core.api_client).resources.get(api_version="v1", kind="ConfigMap")
    say("listed", names(items.get(namespace=namespace, label_selector="group=items").items))
    token = ""
    while token is not None:
        more = {"_continue": token} if token else {}
        page = core.list_namespaced_config_map(namespace, label_selector="group in (items)", limit=4, **more)
        token = page.metadata._continue or None
        say("page", names(page.items) + (", more" if token else ""))


def watches(core, namespace):
    since = core.list_namespaced_config_map(namespace).metadata.resource_version
    core.create_namespaced_config_map(namespace, config_map("watched", a="1"))
    core.patch_namespaced_config_map("watched", namespace, {"data": {"a": "2"}})
    core.delete_namespaced_config_map("watched", namespace)
    stream = watch.Watch()
    for event in stream.stream(core.list_namespaced_config_map, namespace, resource_version=since,
                               field_selector="metadata.name=watched"):
        say("watched", event["type"], event["object"].metadata.name)
        if event["type"] == "DELETED":
            stream.stop()


def changes(core, namespace):
    old = core.read_namespaced_config_map("one", namespace)
    old.data["a"] = "2"
    say("updated", told(core.replace_namespaced_config_map("one", namespace, old)))
    refused(core.replace_namespaced_config_map, "one", namespace, old)
    operations = [{"op": "test", "path": "/data/a", "value": "2"}, {"op": "replace", "path": "/data/a", "value": "3"}]
    say("patched with json", told(core.patch_namespaced_config_map("one", namespace, operations)))
    merge = core.patch_namespaced_config_map("one", namespace, {"data": {"a": "4"}}, _content_type=MERGE)
    say("patched with merge", told(merge))
    containers = [{"name": "a", "image": "nginx:1"}, {"name": "b", "image": "busybox"}]
    core.create_namespaced_pod_template(namespace, {
        "metadata": {"name": "web"}, "template": {"spec": {"containers": containers}}})
    patch = {"template": {"spec": {"containers": [{"name": "a", "image": "nginx:2"}]}}}
    web = core.patch_namespaced_pod_template("web", namespace, patch, _content_type=STRATEGIC)
    say("patched with strategic", " ".join(f"{c.name}={c.image}" for c in web.template.spec.containers))


def applies(core, namespace):
    def apply(manager, value, **more):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one"}, "data": {"b": value}}
        return core.patch_namespaced_config_map("one", namespace, body, field_manager=manager, _content_type=APPLY, **more)

    say("applied by first", told(apply("first", "5"), "b"))
    refused(apply, "second", "6")
    say("forced by second", told(apply("second", "6", force=True), "b"))


def custom(core, namespace):
    definitions = client.ApiextensionsV1Api(core.api_client)
    definitions.create_custom_resource_definition(WIDGETS)
    stream = watch.Watch()
    name = WIDGETS["metadata"]["name"]
    for event in stream.stream(definitions.list_custom_resource_definition, field_selector=f"metadata.name={name}"):
        conditions = event["object"].status.conditions or []
        if any(c.type == "Established" and c.status == "True" for c in conditions):
            stream.stop()
    say("defined widgets")
    widgets = client.CustomObjectsApi(core.api_client)
    place = (GROUP, "v1", namespace, "widgets")
    red = {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "metadata": {"name": "red"}, "spec": {}}
    red = widgets.create_namespaced_custom_object(*place, red)
    say("created widget red", f"size={red['spec']['size']}")
    widgets.patch_namespaced_custom_object_scale(*place, "red", {"spec": {"replicas": 5}})
    red = widgets.get_namespaced_custom_object(*place, "red")
    say("scaled widget red to", red["spec"]["size"])
    listed = widgets.list_namespaced_custom_object(*place)["items"]
    say("listed widgets", *(item["metadata"]["name"] for item in listed))
    definitions.delete_custom_resource_definition(name)


def ends(core, namespace):
    core.delete_namespaced_config_map("one", namespace, propagation_policy="Background")
    say("deleted one")
    refused(core.read_namespaced_config_map, "one", namespace)
    core.delete_collection_namespaced_config_map(namespace, label_selector="group=items")
    left = core.list_namespaced_config_map(namespace, label_selector="group=items").items
    say("deleted group,", len(left), "left")
    review = {"spec": {"resourceAttributes": {"verb": "create", "resource": "pods", "namespace": namespace}}}
    answer = client.AuthorizationV1Api(core.api_client).create_self_subject_access_review(review)
    say("may" if answer.status.allowed else "may not", "create pods")


def inform(core, namespace):
    logging.disable()
    informer = SharedInformer(core.list_namespaced_config_map, namespace=namespace)
    for kind in (ADDED, MODIFIED):
        informer.add_event_handler(kind, lambda o: say("+", o.metadata.name, o.metadata.resource_version))
    informer.add_event_handler(DELETED, lambda o: say("-", o.metadata.name))
    informer.start()
    sys.stdin.read()


def main():
    kubeconfig, namespace, what = sys.argv[1:]
    config.load_kube_config(kubeconfig)
    core = client.CoreV1Api()
    for part in [inform] if what == "inform" else [objects, lists, watches, changes, applies, custom, ends]:
        part(core, namespace)


main()
