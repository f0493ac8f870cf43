package e2e

import (
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"
)

// objects are those that the page shows, decoded strictly: a field that does not exist is an error.
type objects struct {
	deployment apps.Deployment
	service    core.Service
	ingress    networking.Ingress
	budget     policy.PodDisruptionBudget
}

func kubernetes(t *testing.T) *objects {
	t.Helper()
	o := new(objects)
	into := map[string]any{
		"Deployment": &o.deployment, "Service": &o.service, "Ingress": &o.ingress, "PodDisruptionBudget": &o.budget,
	}
	for _, text := range strings.Split(block(t, deployment, "yaml"), "\n---\n") {
		var kind struct{ APIVersion, Kind string }
		if err := yaml.Unmarshal([]byte(text), &kind); err != nil {
			t.Fatal(err)
		}
		object, known := into[kind.Kind]
		if !known {
			t.Fatalf("the page shows a second %s, or one that is not checked", kind.Kind)
		}
		delete(into, kind.Kind)
		if err := yaml.UnmarshalStrict([]byte(text), object); err != nil {
			t.Errorf("%s: %v", kind.Kind, err)
		}
		versions := map[string]string{
			"Deployment": apps.SchemeGroupVersion.String(), "Service": core.SchemeGroupVersion.String(),
			"Ingress": networking.SchemeGroupVersion.String(), "PodDisruptionBudget": policy.SchemeGroupVersion.String(),
		}
		if want := versions[kind.Kind]; kind.APIVersion != want {
			t.Errorf("%s has apiVersion %s, want %s", kind.Kind, kind.APIVersion, want)
		}
	}
	if len(into) > 0 {
		t.Fatalf("the page does not show all of it: %d kinds are missing", len(into))
	}
	return o
}

func podSpec(t *testing.T) core.PodSpec {
	t.Helper()
	return kubernetes(t).deployment.Spec.Template.Spec
}

// What the objects say about each other, and about the program, is true.
func TestKubernetesObjectsFitTogether(t *testing.T) {
	t.Parallel()
	o := kubernetes(t)
	pod, container := o.deployment.Spec.Template, o.deployment.Spec.Template.Spec.Containers[0]
	for what, selector := range map[string]map[string]string{
		"Deployment":          o.deployment.Spec.Selector.MatchLabels,
		"Service":             o.service.Spec.Selector,
		"PodDisruptionBudget": o.budget.Spec.Selector.MatchLabels,
	} {
		if len(selector) == 0 {
			t.Errorf("%s selects everything", what)
		}
		for label, value := range selector {
			if pod.Labels[label] != value {
				t.Errorf("%s selects %s=%s, and the pods have %q", what, label, value, pod.Labels)
			}
		}
	}
	port := container.Ports[0]
	if got := o.service.Spec.Ports[0].TargetPort.StrVal; got != port.Name {
		t.Errorf("the service leads to port %q, and the container has %q", got, port.Name)
	}
	backend := o.ingress.Spec.Rules[0].HTTP.Paths[0].Backend.Service
	if backend.Name != o.service.Name || backend.Port.Name != o.service.Spec.Ports[0].Name {
		t.Errorf("the ingress leads to %v, and the service is %s with %v", backend, o.service.Name, o.service.Spec.Ports)
	}
	probe := container.ReadinessProbe.HTTPGet
	program := block(t, deployment, "go", "package main", "drainWindow")
	if probe.Port.StrVal != port.Name || !strings.Contains(program, `"GET `+probe.Path+`"`) {
		t.Errorf("the probe asks for %s at %s, which the program does not have", probe.Path, probe.Port.String())
	}
	if container.LivenessProbe != nil {
		t.Error("a liveness check would kill a pod that drains, unless the page says more about it")
	}
	if !strings.Contains(program, `":8080"`) || port.ContainerPort != 8080 {
		t.Errorf("the container's port is %d", port.ContainerPort)
	}
	update := o.deployment.Spec.Strategy.RollingUpdate
	if update.MaxUnavailable.IntValue() != 0 || update.MaxSurge.IntValue() < 1 {
		t.Errorf("a pod ends before another is ready: %v", update)
	}
}

// Go is told of less memory than the container has, and of most of it.
func TestMemoryLimitLeavesRoom(t *testing.T) {
	t.Parallel()
	container := podSpec(t).Containers[0]
	limit := container.Resources.Limits.Memory()
	if container.Env[0].Name != "GOMEMLIMIT" {
		t.Fatalf("the first variable is %s", container.Env[0].Name)
	}
	soft, err := resource.ParseQuantity(strings.TrimSuffix(container.Env[0].Value, "B")) // the runtime's MiB is Kubernetes' Mi
	if err != nil {
		t.Fatal(err)
	}
	if part := soft.AsApproximateFloat64() / limit.AsApproximateFloat64(); part < 0.7 || part > 0.85 {
		t.Errorf("GOMEMLIMIT is %.0f%% of the container's memory", 100*part)
	}
}
