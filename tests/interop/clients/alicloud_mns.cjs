// @alicloud/mns
'use strict'
const assert = require('assert')
const MNSClient = require('@alicloud/mns')
const { env, run, refusal } = require('./checks.cjs')

const client = (secret) =>
  new MNSClient(env('ACCOUNT'), { accessKeyId: env('KEY_ID'), accessKeySecret: secret, endpoint: env('MNS') })
const mns = client(env('SECRET'))
const queue = 'interop-npm'

run({
  create_and_describe: async () => {
    assert.strictEqual((await mns.createQueue(queue)).code, 201)
    assert.strictEqual((await mns.getQueueAttributes(queue)).body.QueueName, queue)
  },
  send_receive_delete: async () => {
    const MessageBody = Buffer.from('héllo').toString('base64')
    const sent = await mns.sendMessage(queue, { MessageBody })
    const got = await mns.receiveMessage(queue, 5)
    assert.strictEqual(got.body.MessageId, sent.body.MessageId)
    assert.strictEqual(got.body.MessageBody, MessageBody)
    assert.strictEqual((await mns.deleteMessage(queue, got.body.ReceiptHandle)).code, 204)
  },
  empty_is_a_404: async () => {
    assert.match(String(await refusal(() => mns.receiveMessage(queue, 0))), /MessageNotExist/)
  },
  wrong_secret: async () => {
    assert.match(String(await refusal(() => client('wrong').getQueueAttributes(queue))), /SignatureDoesNotMatch/)
  },
})
