// Command protos-oracle prints, as JSON, what Envoy's published descriptors say about the files that ext-proc
// keeps its own text of: messages, fields, enums and services, and the versions of the modules they came from.
//
// The output depends on go.mod alone, so that it can be committed and compared. `npm run protos:oracle` runs it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	servicev3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// The files of proto/ that have an upstream; extproc/ has none.
var sources = []protoreflect.FileDescriptor{
	corev3.File_envoy_config_core_v3_base_proto,
	filterv3.File_envoy_extensions_filters_http_ext_proc_v3_processing_mode_proto,
	servicev3.File_envoy_service_ext_proc_v3_external_processor_proto,
	typev3.File_envoy_type_v3_http_status_proto,
	healthv1.File_grpc_health_v1_health_proto,
	reflectionv1.File_grpc_reflection_v1_reflection_proto,
	reflectionv1alpha.File_grpc_reflection_v1alpha_reflection_proto,
}

var modules = []string{"github.com/envoyproxy/go-control-plane/envoy", "google.golang.org/grpc"}

// The JSON table. Maps are keyed by name, which encoding/json prints sorted; the comparison in test/protos reads it.
type (
	table struct {
		Modules map[string]string `json:"modules"`
		Files   map[string]*file  `json:"files"`
	}
	file struct {
		Package  string              `json:"package"`
		Messages map[string]*message `json:"messages"`
		Enums    map[string]*enum    `json:"enums"`
		Services map[string]*service `json:"services"`
	}
	message struct {
		Deprecated bool             `json:"deprecated,omitempty"`
		Fields     map[string]field `json:"fields"`
	}
	field struct {
		Number     int32  `json:"number"`
		Label      string `json:"label"`
		MapKey     string `json:"mapKey,omitempty"`
		Type       string `json:"type"`
		TypeName   string `json:"typeName,omitempty"`
		Oneof      string `json:"oneof,omitempty"`
		JSONName   string `json:"jsonName"`
		Deprecated bool   `json:"deprecated,omitempty"`
	}
	enum struct {
		Deprecated bool             `json:"deprecated,omitempty"`
		Values     map[string]value `json:"values"`
	}
	value struct {
		Number     int32 `json:"number"`
		Deprecated bool  `json:"deprecated,omitempty"`
	}
	service struct {
		Deprecated bool              `json:"deprecated,omitempty"`
		Methods    map[string]method `json:"methods"`
	}
	method struct {
		Input           string `json:"input"`
		Output          string `json:"output"`
		ClientStreaming bool   `json:"clientStreaming"`
		ServerStreaming bool   `json:"serverStreaming"`
		Deprecated      bool   `json:"deprecated,omitempty"`
	}
)

func main() {
	versions, err := moduleVersions()
	if err != nil {
		fail(err)
	}
	out := table{Modules: versions, Files: map[string]*file{}}
	for _, source := range sources {
		out.Files[source.Path()] = describeFile(source)
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(out); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "protos-oracle:", err)
	os.Exit(1)
}

// The versions really linked in, not those of go.mod's text: `go run` may be told to use others.
func moduleVersions() (map[string]string, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil, fmt.Errorf("built without module information")
	}
	linked := map[string]string{}
	for _, dependency := range info.Deps {
		linked[dependency.Path] = dependency.Version
	}
	versions := map[string]string{}
	for _, path := range modules {
		if linked[path] == "" {
			return nil, fmt.Errorf("module %s is not linked in", path)
		}
		versions[path] = linked[path]
	}
	return versions, nil
}

func describeFile(descriptor protoreflect.FileDescriptor) *file {
	out := &file{
		Package:  string(descriptor.Package()),
		Messages: map[string]*message{},
		Enums:    map[string]*enum{},
		Services: map[string]*service{},
	}
	out.addEnums(descriptor.Enums())
	out.addMessages(descriptor.Messages())
	out.addServices(descriptor.Services())
	return out
}

func (out *file) addServices(services protoreflect.ServiceDescriptors) {
	for i := range services.Len() {
		descriptor := services.Get(i)
		methods := map[string]method{}
		for j := range descriptor.Methods().Len() {
			m := descriptor.Methods().Get(j)
			methods[string(m.Name())] = method{
				Input:           string(m.Input().FullName()),
				Output:          string(m.Output().FullName()),
				ClientStreaming: m.IsStreamingClient(),
				ServerStreaming: m.IsStreamingServer(),
				Deprecated:      m.Options().(*descriptorpb.MethodOptions).GetDeprecated(),
			}
		}
		out.Services[string(descriptor.FullName())] = &service{
			Deprecated: descriptor.Options().(*descriptorpb.ServiceOptions).GetDeprecated(),
			Methods:    methods,
		}
	}
}

func (out *file) addMessages(messages protoreflect.MessageDescriptors) {
	for i := range messages.Len() {
		descriptor := messages.Get(i)
		// A map field's entry type is described by the field.
		if descriptor.IsMapEntry() {
			continue
		}
		fields := map[string]field{}
		for j := range descriptor.Fields().Len() {
			f := descriptor.Fields().Get(j)
			fields[string(f.Name())] = describeField(f)
		}
		out.Messages[string(descriptor.FullName())] = &message{
			Deprecated: descriptor.Options().(*descriptorpb.MessageOptions).GetDeprecated(),
			Fields:     fields,
		}
		out.addEnums(descriptor.Enums())
		out.addMessages(descriptor.Messages())
	}
}

func (out *file) addEnums(enums protoreflect.EnumDescriptors) {
	for i := range enums.Len() {
		descriptor := enums.Get(i)
		values := map[string]value{}
		for j := range descriptor.Values().Len() {
			v := descriptor.Values().Get(j)
			values[string(v.Name())] = value{
				Number:     int32(v.Number()),
				Deprecated: v.Options().(*descriptorpb.EnumValueOptions).GetDeprecated(),
			}
		}
		out.Enums[string(descriptor.FullName())] = &enum{
			Deprecated: descriptor.Options().(*descriptorpb.EnumOptions).GetDeprecated(),
			Values:     values,
		}
	}
}

func describeField(descriptor protoreflect.FieldDescriptor) field {
	out := field{
		Number:     int32(descriptor.Number()),
		Label:      label(descriptor),
		JSONName:   descriptor.JSONName(),
		Deprecated: descriptor.Options().(*descriptorpb.FieldOptions).GetDeprecated(),
	}
	// The oneof that `optional` makes up is no oneof of the author's.
	if oneof := descriptor.ContainingOneof(); oneof != nil && !oneof.IsSynthetic() {
		out.Oneof = string(oneof.Name())
	}
	element := descriptor
	if descriptor.IsMap() {
		out.MapKey = descriptor.MapKey().Kind().String()
		element = descriptor.MapValue()
	}
	out.Type = element.Kind().String()
	if element.Message() != nil {
		out.TypeName = string(element.Message().FullName())
	} else if element.Enum() != nil {
		out.TypeName = string(element.Enum().FullName())
	}
	return out
}

func label(descriptor protoreflect.FieldDescriptor) string {
	switch {
	case descriptor.IsMap():
		return "map"
	case descriptor.IsList():
		return "repeated"
	case descriptor.HasOptionalKeyword():
		return "optional"
	default:
		return "singular"
	}
}
