/**
 * The part of the Standard Schema specification (version 1) that a processor's `config` needs. Schemas of zod, valibot,
 * arktype and others have it.
 *
 * @typeParam C What a valid value becomes.
 */
export interface StandardSchema<C = unknown> {
  /** What the specification asks for (https://standardschema.dev). */
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<C> | Promise<SchemaResult<C>>;
    readonly types?: { readonly input: unknown; readonly output: C } | undefined;
  };
}

/** What a schema says of a value: what it became, or what is wrong with it. */
export type SchemaResult<C> =
  | { readonly value: C; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** One thing that is wrong with a value. */
export interface SchemaIssue {
  /** What is wrong. */
  readonly message: string;
  /** Where it is wrong. Default: the value itself. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}
