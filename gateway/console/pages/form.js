// SPDX-License-Identifier: MIT
// form - fields made from an action's JSON Schema, and the parameters made of the fields.

import { h, TextField, TextArea, Choice, Field } from './ui.js';

// How a parameter is entered: by a schema's type.
function kindOf(schema) {
    if (Array.isArray(schema.enum))
        return 'choice';
    const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
    if (type === 'string')
        return (schema.maxLength || 0) > 512 ? 'area' : 'text';
    if (type === 'integer' || type === 'number')
        return 'number';
    return type === 'boolean' ? 'check' : 'json';
}

function FormField({ name, schema, required, value, onValue }) {
    const hint = [schema.description, required ? 'Required.' : ''].filter(Boolean).join(' ');
    const shared = { label: name, hint, value: value === undefined ? '' : value, onValue, required };
    switch (kindOf(schema)) {
    case 'choice':
        return h(Choice, { ...shared, options: [...(required ? [] : [['', '(not given)']]), ...schema.enum.map((one) => [String(one), String(one)])] });
    case 'area':
        return h(TextArea, { ...shared, rows: required ? 8 : 3, maxlength: schema.maxLength });
    case 'number':
        return h(TextField, { ...shared, type: 'number', min: schema.minimum, max: schema.maximum, step: schema.type === 'integer' ? 1 : 'any' });
    case 'check':
        return h(Field, { label: name, hint, control: (ids) => h('input', { type: 'checkbox', ...ids, checked: value === true, onChange: (event) => onValue(event.target.checked) }) });
    case 'json':
        return h(TextArea, { ...shared, hint: [hint, 'As JSON.'].filter(Boolean).join(' '), rows: 4 });
    default:
        return h(TextField, { ...shared, maxlength: schema.maxLength });
    }
}

export function SchemaForm({ schema, values, onValues }) {
    const properties = Object.entries(schema.properties || {});
    const required = schema.required || [];
    if (properties.length === 0)
        return h('p', { class: 'small' }, 'It takes no parameters.');
    return h('div', { class: 'fields' }, properties.map(([name, own]) =>
        h(FormField, { key: name, name, schema: own, required: required.includes(name), value: values[name],
            onValue: (value) => onValues({ ...values, [name]: value }) })));
}

// The parameters; an Error that names the field when a text is not JSON. Empty ones are not sent.
export function paramsOf(schema, values) {
    const params = {};
    for (const [name, own] of Object.entries(schema.properties || {})) {
        const value = values[name];
        if (value === undefined || value === '')
            continue;
        const kind = kindOf(own);
        if (kind === 'number') {
            params[name] = Number(value);
        } else if (kind === 'json') {
            try {
                params[name] = JSON.parse(value);
            } catch (error) {
                throw new Error(name + ' is not JSON: ' + error.message);
            }
        } else {
            params[name] = value;
        }
    }
    return params;
}
